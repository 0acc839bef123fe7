//! Resources that an app or a pod asks for and may use; of several isolators of one name the last counts (stage1-abi §3.5, appc §6.3).

use super::of;
use crate::abi::manifest::Isolator;
use crate::abi::quantity;
use sandbox::{Failure, Result};

/// The processor bandwidth of a cgroup is counted in microseconds of this many.
pub const CPU_PERIOD: i64 = 100_000;

/// The isolator of what goes by the network.
pub const NETWORK_BANDWIDTH: &str = "resource/network-bandwidth";

/// How much is there at least, and how much at most; none where nothing is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub request: Option<i64>,
    pub limit: Option<i64>,
}

impl Bounds {
    fn within(self, outer: Self) -> Self {
        let least = |one: Option<i64>| one.into_iter().chain(outer.limit).min();
        Self {
            request: self.request.and_then(|request| least(Some(request))),
            limit: self.limit.and(least(self.limit)),
        }
    }
}

/// Resources of an app or of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Bytes.
    pub memory: Bounds,
    /// Thousandths of a processor.
    pub cpu: Bounds,
    /// Weight as cgroup version 1 counts it.
    pub cpu_shares: Option<i64>,
    /// Bytes a second, of each block device, for reading and for writing.
    pub block_bandwidth: Option<i64>,
    /// Operations a second, likewise.
    pub block_iops: Option<i64>,
    /// Bytes a second, of each network, for sending and for being sent.
    pub network_bandwidth: Option<i64>,
}

impl Resources {
    /// What these isolators ask for; a failure names the isolator.
    pub fn of(isolators: &[Isolator]) -> Result<Self> {
        let bounds = |name: &str, scale: i128| -> Result<Bounds> {
            Ok(Bounds {
                request: quantity_of(isolators, name, "request", scale)?,
                limit: quantity_of(isolators, name, "limit", scale)?,
            })
        };
        let cpu = bounds("resource/cpu", 1000)?;
        if let Some(millis) = cpu.limit.filter(|&millis| millis > i64::MAX / CPU_PERIOD) {
            return Err(Failure::new(format!("cpu limit exceeds the maximum millivalue: {millis}")));
        }
        let cpu_shares = of(isolators, "os/linux/cpu-shares").next_back().and_then(|isolator| isolator.value.as_i64());
        Ok(Self {
            memory: bounds("resource/memory", 1)?,
            cpu,
            cpu_shares,
            block_bandwidth: quantity_of(isolators, "resource/block-bandwidth", "limit", 1)?,
            block_iops: quantity_of(isolators, "resource/block-iops", "limit", 1)?,
            network_bandwidth: quantity_of(isolators, NETWORK_BANDWIDTH, "limit", 1)?,
        })
    }

    /// The same, but no more than the pod may use, so that the kernel takes both: version 1 refuses a part that is more than the whole.
    pub fn within(self, pod: &Self) -> Self {
        Self { memory: self.memory.within(pod.memory), cpu: self.cpu.within(pod.cpu), ..self }
    }
}

fn quantity_of(isolators: &[Isolator], name: &str, field: &str, scale: i128) -> Result<Option<i64>> {
    let isolator = of(isolators, name).next_back();
    let Some(value) = isolator.and_then(|isolator| isolator.value.get(field)).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    match quantity::scaled(value, scale) {
        Some(number) if number > 0 || (number == 0 && field == "request") => Ok(Some(number)),
        Some(_) => Err(Failure::new(format!("isolator {name}: {field} {value} is not above zero"))),
        None => Err(Failure::new(format!("isolator {name}: {field} {value} is not a quantity"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::app;
    use super::*;

    fn resources(isolators: &str) -> std::result::Result<Resources, String> {
        Resources::of(&app(isolators).isolators).map_err(|failure| failure.to_string())
    }

    #[test]
    fn of_several_limits_the_last_counts() {
        let resources = resources(
            r#"[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"resource/memory","value":{"limit":"64Mi","request":"1Mi"}},
                {"name":"resource/cpu","value":{"limit":"250m"}},{"name":"os/linux/cpu-shares","value":512},
                {"name":"resource/block-iops","value":{"default":true,"limit":"1k"}},
                {"name":"resource/block-bandwidth","value":{"default":true,"limit":"2M"}},
                {"name":"resource/network-bandwidth","value":{"default":true,"limit":"3Mi"}}]"#,
        )
        .unwrap();

        let expected = Resources {
            memory: Bounds { request: Some(1 << 20), limit: Some(64 << 20) },
            cpu: Bounds { request: None, limit: Some(250) },
            cpu_shares: Some(512),
            block_bandwidth: Some(2_000_000),
            block_iops: Some(1000),
            network_bandwidth: Some(3 << 20),
        };
        assert_eq!(resources, expected);
    }

    #[test]
    fn an_app_gets_no_more_than_its_pod_and_no_limit_that_it_did_not_ask_for() {
        let bounds = |request, limit| Bounds { request, limit };

        assert_eq!(bounds(Some(5), Some(9)).within(bounds(None, Some(7))), bounds(Some(5), Some(7)));
        assert_eq!(bounds(Some(8), None).within(bounds(None, Some(7))), bounds(Some(7), None));
        assert_eq!(bounds(None, Some(6)).within(bounds(Some(1), None)), bounds(None, Some(6)));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_isolator() {
        assert_eq!(
            resources(r#"[{"name":"resource/memory","value":{"limit":"-1G"}}]"#).unwrap_err(),
            "isolator resource/memory: limit \"-1G\" is not above zero"
        );
        assert_eq!(
            resources(r#"[{"name":"resource/cpu","value":{"request":"1K"}}]"#).unwrap_err(),
            "isolator resource/cpu: request \"1K\" is not a quantity"
        );
        assert_eq!(
            resources(r#"[{"name":"resource/cpu","value":{"limit":"1E"}}]"#).unwrap_err(),
            "isolator resource/cpu: limit \"1E\" is not a quantity"
        );
        assert_eq!(
            resources(r#"[{"name":"resource/cpu","value":{"limit":"1P"}}]"#).unwrap_err(),
            "cpu limit exceeds the maximum millivalue: 1000000000000000000"
        );
    }
}
