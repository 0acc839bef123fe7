//! What an app writes: to its streams, to those who are attached, and to the sockets of the journal.

use super::super::super::console::Console;
use super::super::super::journal::Record;
use super::super::super::lines::{Lines, log_text};
use super::super::services::{MAX_STREAMS, Service};
use super::Supervised;
use std::time::Instant;

impl Supervised {
    /// Logs what has come through a socket of the journal; answers whether there was anything.
    pub fn log_messages(&mut self, service: Service) -> bool {
        let messages = self.services.messages(service);
        for Record { stream, text } in &messages {
            log_text(&mut self.log, stream, text);
        }
        !messages.is_empty()
    }

    /// Logs what has come by a stream of the journal; answers whether there was anything.
    pub fn log_stream(&mut self, number: usize) -> bool {
        let lines = self.services.read_stream(number);
        for Record { stream, text } in &lines {
            log_text(&mut self.log, stream, text);
        }
        !lines.is_empty()
    }

    /// Hands on what can be read of an output stream now.
    /// Answers the stream when it has ended, to be watched no longer.
    pub fn pump(&mut self, stream: usize, console: &mut Console) -> Option<Lines> {
        let label = self.label();
        let ended = !self.streams[stream].as_mut()?.pump(&label, Some(&mut self.log), console);
        self.streams[stream].take_if(|_| ended)
    }

    /// Serves those who are attached.
    pub fn attend(&mut self) {
        if let Some(attachable) = &mut self.attachable {
            attachable.turn();
            if attachable.is_done() {
                self.attachable = None;
            }
        }
    }

    /// Lets nobody attach any more; who is gets what is left and is hung up.
    pub fn detach_clients(&mut self) {
        if let Some(attachable) = &mut self.attachable {
            attachable.end();
        }
        self.attend();
    }

    /// Gives those who were attached a last chance to take what is left.
    pub fn finish_clients(&mut self, until: Instant) {
        self.detach_clients();
        if let Some(attachable) = self.attachable.take() {
            attachable.finish(until);
        }
    }

    /// Hands on everything that was written.
    pub fn drain(&mut self, console: &mut Console) {
        for service in [Service::Syslog, Service::Native] {
            while self.log_messages(service) {}
        }
        for number in 0..MAX_STREAMS {
            while self.log_stream(number) {}
        }
        let label = self.label();
        for lines in self.streams.iter_mut().flatten() {
            lines.drain(&label, Some(&mut self.log), console);
        }
    }
}
