//! Arguments of the entrypoint `run` (stage1-abi §2.1), and the little grammar that all entrypoints share.

use sandbox::{Failure, Result};

/// One option as written: its name without dashes and its value, if one was joined by `=`.
struct Word<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

/// Reads options up to the first word that is none, or `--`.
pub struct Words<'a> {
    rest: std::slice::Iter<'a, String>,
}

impl<'a> Words<'a> {
    /// Begins at the first argument.
    pub fn new(arguments: &'a [String]) -> Self {
        Self { rest: arguments.iter() }
    }

    fn next_option(&mut self) -> Option<Word<'a>> {
        let word = self.rest.as_slice().first()?;
        let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).filter(|name| !name.is_empty());
        if word == "--" {
            self.rest.next();
        }
        let name = name?;
        self.rest.next();
        Some(match name.split_once('=') {
            Some((name, value)) => Word { name, value: Some(value) },
            None => Word { name, value: None },
        })
    }

    /// Calls `take` for each option: the name, and a source of its value. `take` answers false for a name it does not know.
    pub fn options(&mut self, mut take: impl FnMut(&str, &mut Value<'_, 'a>) -> Result<bool>) -> Result<()> {
        while let Some(word) = self.next_option() {
            let mut value = Value { name: word.name, joined: word.value, words: self };
            if !take(word.name, &mut value)? {
                return Err(Failure::new(format!("unknown option --{}", word.name)));
            }
        }
        Ok(())
    }

    /// What follows the options.
    pub fn rest(&self) -> &'a [String] {
        self.rest.as_slice()
    }
}

/// The value of an option, taken as what the option needs.
pub struct Value<'w, 'a> {
    name: &'a str,
    joined: Option<&'a str>,
    words: &'w mut Words<'a>,
}

impl Value<'_, '_> {
    /// A text: joined by `=`, or the next word.
    pub fn text(&mut self) -> Result<String> {
        let next = self.joined.map(str::to_owned).or_else(|| self.words.rest.next().cloned());
        next.ok_or_else(|| Failure::new(format!("option --{} needs a value", self.name)))
    }

    /// A switch: alone, or with a joined boolean.
    pub fn switch(&mut self) -> Result<bool> {
        match self.joined {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
            Some(other) => Err(Failure::new(format!("option --{}: \"{other}\" is not a boolean", self.name))),
        }
    }
}

/// Where an app's `/etc/resolv.conf` or `/etc/hosts` comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileMode {
    /// What the flavor knows.
    #[default]
    Default,
    /// The host's file.
    Host,
    /// The file that stage0 wrote.
    Stage0,
    /// None.
    Nothing,
}

impl FileMode {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "default" => Self::Default,
            "host" => Self::Host,
            "stage0" => Self::Stage0,
            "none" => Self::Nothing,
            _ => return None,
        })
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Host => "host",
            Self::Stage0 => "stage0",
            Self::Nothing => "none",
        }
    }
}

/// The arguments of `run`.
#[derive(Debug, Default)]
pub struct RunOptions {
    pub debug: bool,
    pub networks: Vec<String>,
    pub interactive: bool,
    pub private_users: String,
    pub metadata_token: String,
    pub local_config: String,
    pub hostname: String,
    pub resolv_conf: FileMode,
    pub hosts: FileMode,
    pub disable_capabilities: bool,
    pub disable_paths: bool,
    pub disable_seccomp: bool,
    pub mutable: bool,
    pub ipc: String,
    pub uuid: String,
}

/// Options that a flavor without namespaces does not have.
const ISOLATING: [&str; 3] = ["private-users", "mutable", "ipc"];

impl RunOptions {
    /// Reads the arguments; `isolating` tells whether the options that need namespaces exist.
    pub fn parse(arguments: &[String], isolating: bool) -> Result<Self> {
        let mut options = Self { local_config: "/etc/rkt".to_owned(), ..Self::default() };
        let mut words = Words::new(arguments);
        words.options(|name, value| {
            if !isolating && ISOLATING.contains(&name) {
                return Ok(false);
            }
            match name {
                "debug" => options.debug = value.switch()?,
                "net" => options.networks = split(&value.text()?),
                "interactive" => options.interactive = value.switch()?,
                "private-users" => options.private_users = value.text()?,
                "mds-token" => options.metadata_token = value.text()?,
                "local-config" => options.local_config = value.text()?,
                "hostname" => options.hostname = value.text()?,
                "dns-conf-mode" => (options.resolv_conf, options.hosts) = parse_dns_modes(&value.text()?)?,
                "disable-capabilities-restriction" => options.disable_capabilities = value.switch()?,
                "disable-paths" => options.disable_paths = value.switch()?,
                "disable-seccomp" => options.disable_seccomp = value.switch()?,
                "mutable" => options.mutable = value.switch()?,
                "ipc" => options.ipc = value.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        options.uuid = parse_uuid(words.rest())?;
        Ok(options)
    }
}

fn split(list: &str) -> Vec<String> {
    list.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `resolv=R,hosts=H`.
fn parse_dns_modes(text: &str) -> Result<(FileMode, FileMode)> {
    let mut modes = (FileMode::Default, FileMode::Default);
    for part in split(text) {
        let parsed = part.split_once('=').and_then(|(key, mode)| Some((key, FileMode::parse(mode)?)));
        match parsed {
            Some(("resolv", mode)) => modes.0 = mode,
            Some(("hosts", mode)) if mode != FileMode::Nothing => modes.1 = mode,
            _ => return Err(Failure::new(format!("invalid value \"{part}\" for --dns-conf-mode"))),
        }
    }
    Ok(modes)
}

/// The one argument behind the options: a UUID, made canonical.
pub fn parse_uuid(rest: &[String]) -> Result<String> {
    let malformed = || Failure::new("UUID is missing or malformed");
    let [text] = rest else { return Err(malformed()) };
    let digits: String = text.chars().filter(|&letter| letter != '-').collect::<String>().to_ascii_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(malformed());
    }
    Ok(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
}

/// What `stop` is called with: the pod's UUID, and whether the pod is killed at once.
pub fn parse_stop(arguments: &[String]) -> Result<(String, bool)> {
    let mut force = false;
    let mut words = Words::new(arguments);
    words.options(|name, value| {
        if name != "force" {
            return Ok(false);
        }
        force = value.switch()?;
        Ok(true)
    })?;
    Ok((parse_uuid(words.rest())?, force))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RunOptions> {
        RunOptions::parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), true)
    }

    const UUID: &str = "0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11";

    #[test]
    fn all_options_of_the_abi_are_read() {
        let line = format!(
            "--debug --net=default,host --interactive --private-users=1:2 --mds-token=ff --local-config=/l --hostname=h \
             --dns-conf-mode=resolv=host,hosts=stage0 --disable-capabilities-restriction --disable-paths --disable-seccomp \
             --mutable --ipc=parent {UUID}"
        );

        let options = parse(&line).unwrap();

        assert_eq!(options.networks, ["default", "host"]);
        assert_eq!((options.resolv_conf, options.hosts), (FileMode::Host, FileMode::Stage0));
        assert!(options.debug && options.interactive && options.mutable);
        assert!(options.disable_capabilities && options.disable_paths && options.disable_seccomp);
        assert_eq!((options.ipc.as_str(), options.hostname.as_str()), ("parent", "h"));
        assert_eq!((options.private_users.as_str(), options.metadata_token.as_str()), ("1:2", "ff"));
        assert_eq!((options.local_config.as_str(), options.uuid.as_str()), ("/l", UUID));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        assert_eq!(parse(&format!("--frob {UUID}")).unwrap_err().to_string(), "unknown option --frob");
        assert_eq!(parse("--debug nonsense").unwrap_err().to_string(), "UUID is missing or malformed");
        assert_eq!(parse("--debug").unwrap_err().to_string(), "UUID is missing or malformed");
        assert!(parse(&format!("--dns-conf-mode=hosts=none {UUID}")).is_err());
    }

    #[test]
    fn a_flavor_without_namespaces_has_no_options_for_them() {
        let words = ["--ipc=parent".to_owned(), UUID.to_owned()];

        assert_eq!(RunOptions::parse(&words, false).unwrap_err().to_string(), "unknown option --ipc");
    }
}
