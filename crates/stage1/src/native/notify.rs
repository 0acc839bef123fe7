//! What a program tells of its state (sd_notify(3)), as far as a pod has a use for it.

/// One message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub ready: bool,
    /// A line for people.
    pub status: Option<String>,
    /// The process that stands for the program from now on.
    pub main_pid: Option<i32>,
}

/// The longest status that is passed on.
const MAX_STATUS: usize = 512;

/// Reads a message: one `NAME=VALUE` a line. What is not understood is left out.
pub fn parse(datagram: &[u8]) -> Message {
    let mut message = Message::default();
    for line in String::from_utf8_lossy(datagram).lines() {
        match line.split_once('=') {
            Some(("READY", "1")) => message.ready = true,
            Some(("STATUS", text)) => {
                message.status = Some(text.chars().filter(|letter| !letter.is_control()).take(MAX_STATUS).collect());
            }
            Some(("MAINPID", number)) => message.main_pid = number.parse().ok().filter(|&pid| pid > 1),
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_a_variable_a_line_and_strange_ones_say_nothing() {
        let message = parse(b"STATUS=two \x1b[31mof\tthree\nREADY=1\nMAINPID=12\nWATCHDOG=1\nX");

        assert_eq!(message, Message { ready: true, status: Some("two [31mofthree".to_owned()), main_pid: Some(12) });
        assert_eq!(parse(b"READY=0\nMAINPID=1\n=\n\xff"), Message::default());
        assert_eq!(parse(b"MAINPID=-7"), Message::default());
    }
}
