//! What to do about a scan without a result.

use crate::domain::failure::FailureClass;

/// One sentence for each class.
pub(super) const fn advice(class: FailureClass) -> &'static str {
    match class {
        FailureClass::InvalidTarget => "check the URL; http and https are scanned",
        FailureClass::EgressDenied => "--allow-net NETWORK lets a network of your own be reached",
        FailureClass::RobotsDisallowed => "the site wants no programs there; scan without --respect-robots",
        FailureClass::Dns => "check the name; links to dangerous sites often outlive their names",
        FailureClass::Connect => "the server is down or refuses; try again later",
        FailureClass::Tls => "the server has no TLS that works; try the URL with http://",
        FailureClass::HttpProtocol => "what answers there is no web server, or a broken one",
        FailureClass::Timeout => "the server is slow or silent; --timeout 60s gives it more time",
        FailureClass::AnalysisTimeout => "the page is unusual; please report it, with its document",
        FailureClass::OutOfMemory => "--memory 1GiB gives the container more",
        FailureClass::OutputInvalid | FailureClass::OutputTooLarge => {
            "do not trust this site: its fetcher did not behave; `safeurl doctor` tells a broken image"
        }
        FailureClass::ContainerCrash => "`safeurl jobs show ID` has what the fetcher said last",
        FailureClass::Lost => "a worker, the gateway or the engine went away; `safeurl doctor` looks at each",
        FailureClass::Cancelled => "`safeurl jobs retry ID` puts it back into the queue",
        FailureClass::Stalled => {
            "no worker kept it long enough; are workers running? `safeurl jobs retry ID`"
        }
    }
}
