//! Whom to subscribe to, and as whom.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orrery_api::v1;
use orrery_api::v1::scheduler::OfferConstraints;
use orrery_detector::Masters;
use orrery_http::MediaType;

/// How messages are written on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`
    #[default]
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    pub(crate) fn media_type(self) -> MediaType {
        match self {
            Self::Protobuf => MediaType::Protobuf,
            Self::Json => MediaType::Json,
        }
    }
}

/// How to run a framework.
#[derive(Clone)]
pub struct Options {
    /// Where the masters are. One that does not lead names the one that does.
    pub masters: Masters,
    /// How messages are written.
    pub encoding: Encoding,
    /// Who the framework is. With an `id`, it takes over from an earlier process.
    pub framework_info: v1::FrameworkInfo,
    /// Roles for which no offers are wanted at first.
    pub suppressed_roles: BTreeSet<String>,
    /// Which agents' offers are wanted at all.
    pub offer_constraints: Option<OfferConstraints>,
    /// What to authenticate with (HTTP Basic), if the master asks for it.
    pub credential: Option<v1::Credential>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The credential stays out of logs.
        formatter
            .debug_struct("Options")
            .field("masters", &self.masters)
            .field("encoding", &self.encoding)
            .field("framework_info", &self.framework_info)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Options with everything else left at its default.
    pub fn new(masters: impl Into<Masters>, framework_info: v1::FrameworkInfo) -> Self {
        Self {
            masters: masters.into(),
            encoding: Encoding::default(),
            framework_info,
            suppressed_roles: BTreeSet::new(),
            offer_constraints: None,
            credential: None,
        }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<String> {
        let credential = self.credential.as_ref()?;
        let secret = credential.secret.as_deref().unwrap_or_default();
        let pair = STANDARD.encode(format!("{}:{secret}", credential.principal));
        Some(format!("Basic {pair}"))
    }
}
