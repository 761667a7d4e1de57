//! The network of containers that have one: a bridge of the installation's own, on which they do not reach each other.
//!
//! Made when it is first needed and left there: it belongs to the installation, not to a worker. Only who belongs to no
//! installation takes it away. The engine keeps no container away from services of its host; that is up to the rules
//! inside the fetcher.

use std::collections::HashMap;

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::InspectNetworkOptions;

use super::engine::{CALL, Engine, WORK};
use super::spec::LABEL_INSTANCE;
use super::{SandboxConfig, SandboxError};

/// The bridge driver's option for traffic between containers.
const ICC: &str = "com.docker.network.bridge.enable_icc";

/// Its name.
pub(super) fn name(instance: &str) -> String {
    format!("safeurl-{instance}")
}

/// Makes the network unless it is there. One of that name that lets containers talk to each other is refused.
pub(super) async fn ensure(engine: &Engine, config: &SandboxConfig) -> Result<(), SandboxError> {
    let name = name(&config.instance);
    if is_there(engine, &name).await? {
        return Ok(());
    }
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        options: Some(HashMap::from([(ICC.to_owned(), "false".to_owned())])),
        labels: Some(HashMap::from([(LABEL_INSTANCE.to_owned(), config.instance.clone())])),
        ..NetworkCreateRequest::default()
    };
    let made = engine
        .call("create a network", WORK, |client| async move { client.create_network(request).await })
        .await;
    match made {
        Ok(_) => Ok(()),
        // Another worker was faster.
        Err(error) => match is_there(engine, &name).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(SandboxError::Unavailable { .. }) => Err(error),
            Err(other) => Err(other),
        },
    }
}

/// Removes the network. One that a running container is on stays.
pub(super) async fn remove(engine: &Engine, instance: &str) {
    let name = name(instance);
    // Failing that, a network without containers is left, which the next one finds and uses.
    let _ = engine
        .call("remove a network", WORK, |client| async move { client.remove_network(&name).await })
        .await;
}

async fn is_there(engine: &Engine, name: &str) -> Result<bool, SandboxError> {
    let found = engine
        .call("inspect a network", CALL, |client| async move {
            client.inspect_network(name, None::<InspectNetworkOptions>).await
        })
        .await;
    match found {
        Ok(network) => {
            let icc = network.options.as_ref().and_then(|options| options.get(ICC));
            if icc.is_some_and(|value| value == "false") {
                return Ok(true);
            }
            Err(SandboxError::Weakened { fields: format!("{ICC} of the network {name}") })
        }
        Err(SandboxError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
