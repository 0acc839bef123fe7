//! What a descriptor of the event loop is, as the 64 bits that epoll(7) keeps for us.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    Signals,
    Channel,
    Console,
    Terminal,
    /// Of an app, by its number: standard output (0) or standard error (1).
    Stream(usize, usize),
    /// Of an app, by its number.
    Report(usize),
    /// Of an app, by its number: calls that its filter withholds.
    Refusals(usize),
}

/// Numbers below belong to the pod.
const FIRST_APP: u64 = 16;

/// How many numbers an app has.
const PER_APP: u64 = 4;

impl Token {
    pub const fn encode(self) -> u64 {
        match self {
            Self::Signals => 0,
            Self::Channel => 1,
            Self::Console => 2,
            Self::Terminal => 3,
            Self::Stream(app, stream) => FIRST_APP + app as u64 * PER_APP + stream as u64,
            Self::Report(app) => FIRST_APP + app as u64 * PER_APP + 2,
            Self::Refusals(app) => FIRST_APP + app as u64 * PER_APP + 3,
        }
    }

    pub const fn decode(number: u64) -> Self {
        match number {
            0 => Self::Signals,
            1 => Self::Channel,
            2 => Self::Console,
            3 => Self::Terminal,
            _ => {
                let number = number - FIRST_APP;
                let (app, which) = ((number / PER_APP) as usize, (number % PER_APP) as usize);
                match which {
                    2 => Self::Report(app),
                    3 => Self::Refusals(app),
                    stream => Self::Stream(app, stream),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_survives_its_number() {
        for token in [
            Token::Signals,
            Token::Channel,
            Token::Console,
            Token::Terminal,
            Token::Stream(0, 0),
            Token::Stream(7, 1),
            Token::Report(7),
            Token::Refusals(7),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
