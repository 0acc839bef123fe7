//! Limits of resources; of several isolators of one name the last counts.

use super::of;
use crate::abi::manifest::{App, Isolator};
use crate::abi::quantity;
use sandbox::{Failure, Result};

/// Limits of an app; none where nothing is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<i64>,
    /// Thousandths of a processor.
    pub cpu: Option<i64>,
    /// Weight as cgroup version 1 counts it.
    pub cpu_shares: Option<i64>,
}

/// Memory and processor limits.
pub fn limits(app: &App) -> Result<Limits> {
    let isolators: &[Isolator] = &app.isolators;
    let limit = |name: &str, scale: i128| -> Result<Option<i64>> {
        let isolator = of(isolators, name).next_back();
        let Some(value) = isolator.and_then(|isolator| isolator.value.get("limit")).filter(|value| !value.is_null())
        else {
            return Ok(None);
        };
        let number = quantity::scaled(value, scale);
        number.map(Some).ok_or_else(|| Failure::new(format!("isolator {name}: limit {value} is not a quantity")))
    };
    let cpu = limit("resource/cpu", 1000)?;
    if let Some(millis) = cpu.filter(|&millis| millis > i64::MAX / 100) {
        return Err(Failure::new(format!("cpu limit exceeds the maximum millivalue: {millis}")));
    }
    let cpu_shares = of(isolators, "os/linux/cpu-shares").next_back().and_then(|isolator| isolator.value.as_i64());
    Ok(Limits { memory: limit("resource/memory", 1)?, cpu, cpu_shares })
}

#[cfg(test)]
mod tests {
    use super::super::app;
    use super::*;

    #[test]
    fn of_several_limits_the_last_counts() {
        let app = app(
            r#"[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"resource/memory","value":{"limit":"64Mi"}},
                {"name":"resource/cpu","value":{"limit":"250m"}},{"name":"os/linux/cpu-shares","value":512}]"#,
        );

        assert_eq!(limits(&app).unwrap(), Limits { memory: Some(64 << 20), cpu: Some(250), cpu_shares: Some(512) });
    }
}
