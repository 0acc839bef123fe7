//! What a descriptor of the event loop is, as the 64 bits that epoll(7) keeps for us.

use super::services::Service;

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
    /// Of an app, by its number.
    Service(usize, Service),
    /// Of an app, by its number: a stream of the journal.
    Journal(usize, usize),
    /// Of an app, by its number: streams that others attach to.
    Attachable(usize),
    /// Where requests come in.
    Control,
    /// A request, by the number of its session.
    Session(usize),
    /// Of an app, by its number: calls that its filter withholds.
    Refusals(usize),
}

/// Kind, number of the app, number of the thing.
const fn pack(kind: u64, app: usize, thing: usize) -> u64 {
    kind << 56 | (app as u64 & 0xff_ffff) << 32 | thing as u64 & 0xffff_ffff
}

impl Token {
    pub const fn encode(self) -> u64 {
        match self {
            Self::Signals => pack(0, 0, 0),
            Self::Channel => pack(1, 0, 0),
            Self::Console => pack(2, 0, 0),
            Self::Terminal => pack(3, 0, 0),
            Self::Stream(app, stream) => pack(4, app, stream),
            Self::Report(app) => pack(5, app, 0),
            Self::Service(app, service) => pack(6, app, service as usize),
            Self::Journal(app, stream) => pack(7, app, stream),
            Self::Attachable(app) => pack(9, app, 0),
            Self::Control => pack(10, 0, 0),
            Self::Session(number) => pack(11, 0, number),
            Self::Refusals(app) => pack(8, app, 0),
        }
    }

    pub const fn decode(number: u64) -> Self {
        let (app, thing) = ((number >> 32 & 0xff_ffff) as usize, (number & 0xffff_ffff) as usize);
        match number >> 56 {
            0 => Self::Signals,
            1 => Self::Channel,
            2 => Self::Console,
            3 => Self::Terminal,
            4 => Self::Stream(app, thing),
            5 => Self::Report(app),
            6 => Self::Service(app, Service::ALL[thing % Service::ALL.len()]),
            7 => Self::Journal(app, thing),
            8 => Self::Refusals(app),
            9 => Self::Attachable(app),
            10 => Self::Control,
            _ => Self::Session(thing),
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
            Token::Stream(70_000, 1),
            Token::Report(7),
            Token::Service(7, Service::Notify),
            Token::Service(7, Service::Streams),
            Token::Journal(7, 31),
            Token::Refusals(7),
            Token::Attachable(7),
            Token::Control,
            Token::Session(15),
        ] {
            assert_eq!(Token::decode(token.encode()), token);
        }
    }
}
