//! The environment of an app (stage1-abi §3.9) and the file that keeps it for `enter`.

use super::manifest::App;

/// What an app has when it does not say otherwise.
const DEFAULTS: [(&str, &str); 5] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("SHELL", "/bin/sh"),
    ("USER", "root"),
    ("LOGNAME", "root"),
    ("HOME", "/root"),
];

/// The app's own variables, then `extra` (which win), then the defaults that are not set.
pub fn of_app(app: &App, extra: &[(&str, String)]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: &str, replace: bool| match all.iter_mut().find(|(known, _)| known == name) {
        Some(entry) if replace => value.clone_into(&mut entry.1),
        Some(_) => {}
        None => all.push((name.to_owned(), value.to_owned())),
    };
    for variable in &app.environment {
        set(&variable.name, &variable.value, true);
    }
    for (name, value) in extra {
        set(name, value, true);
    }
    for (name, value) in DEFAULTS {
        set(name, value, false);
    }
    all
}

/// The text of `rkt/env/APP`: one `K=V` a line.
pub fn encode(environment: &[(String, String)]) -> String {
    environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Reads such a text. A line that begins no variable continues the value before it.
pub fn decode(text: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with(|letter: char| letter.is_ascii_digit())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        match (line.split_once('=').filter(|(name, _)| is_name(name)), all.last_mut()) {
            (Some((name, value)), _) => all.push((name.to_owned(), value.to_owned())),
            (None, Some((_, value))) => {
                value.push('\n');
                value.push_str(line);
            }
            (None, None) => {}
        }
    }
    all
}

/// The value of a variable.
pub fn value<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(environment: &str) -> App {
        serde_json::from_str(&format!(r#"{{"user":"0","group":"0","environment":{environment}}}"#)).unwrap()
    }

    #[test]
    fn defaults_stand_behind_what_the_app_sets_and_its_name_before() {
        let app = app(r#"[{"name":"HOME","value":"/data"},{"name":"AC_APP_NAME","value":"fake"}]"#);

        let environment = of_app(&app, &[("AC_APP_NAME", "redis".to_owned())]);

        assert_eq!(value(&environment, "HOME"), Some("/data"));
        assert_eq!(value(&environment, "AC_APP_NAME"), Some("redis"));
        assert_eq!(value(&environment, "SHELL"), Some("/bin/sh"));
        assert_eq!(environment.len(), 6);
    }

    #[test]
    fn a_value_of_several_lines_comes_back_from_the_file() {
        let environment = vec![("A".to_owned(), "one\ntwo".to_owned()), ("B".to_owned(), "x=y".to_owned())];

        assert_eq!(decode(&encode(&environment)), environment);
    }
}
