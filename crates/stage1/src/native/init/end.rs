//! What is recorded of an app's end, and what the pod's status comes of (stage1-abi §8).

use sandbox::sys::Ended;

/// What the status file of an app says: an app that ended by the TERM of an orderly end was stopped cleanly.
pub fn recorded_status(ended: Ended, stopping: bool) -> i32 {
    match ended {
        Ended::Killed(libc::SIGTERM) if stopping => 0,
        other => other.code(),
    }
}

/// The status of the pod: that of the first app which failed by itself; an end that somebody asked for is no failure.
pub fn pod_status(failed: Option<i32>) -> i32 {
    failed.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_ends_by_the_term_of_an_orderly_end_was_stopped_cleanly() {
        assert_eq!(recorded_status(Ended::Killed(libc::SIGTERM), true), 0);
        assert_eq!(recorded_status(Ended::Killed(libc::SIGTERM), false), 143);
        assert_eq!(recorded_status(Ended::Killed(libc::SIGKILL), true), 137);
        assert_eq!(recorded_status(Ended::Exited(6), true), 6);
    }

    #[test]
    fn the_pod_ends_with_the_first_failure_and_an_asked_for_end_is_none() {
        assert_eq!(pod_status(None), 0);
        assert_eq!(pod_status(Some(5)), 5);
    }
}
