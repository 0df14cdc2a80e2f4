//! The MAAS fencer against the simulated region's MAAS.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::FaultClass;
use tachi_domain::power::Power;
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, Fencer as _};
use tachi_fence::{Device as _, Fencers, Maas, MaasOptions, Topology};
use tachi_sandbox::{Sandbox, SandboxOptions};

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn maas(sandbox: &Sandbox, key: &str) -> Maas {
    Maas::new(MaasOptions::new(sandbox.urls().maas, key.into()), clock()).unwrap()
}

#[tokio::test]
async fn a_host_is_switched_off_through_maas() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let maas = maas(&sandbox, &sandbox.maas_api_key());
    assert!(!maas.whoami().await.unwrap().is_empty());
    let options = MaasOptions::new(sandbox.urls().maas, sandbox.maas_api_key().into());
    let fencers = Fencers::new(Topology::of_maas(options), clock());
    let target = fencers.levels("compute-001").remove(0).devices.remove(0).target;
    let reading = fencers.read_power("compute-001", &target).await.unwrap();
    assert_eq!((reading.power, reading.raw.as_str()), (Power::On, "on"));
    fencers
        .power_off("compute-001", &target, "tachi recovery r1")
        .await
        .unwrap();
    let off = async {
        while fencers.read_power("compute-001", &target).await.unwrap().power != Power::Off {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), off).await.unwrap();
    fencers
        .power_off("compute-001", &target, "tachi recovery r1")
        .await
        .unwrap();
    assert_eq!(
        fencers.read_power("compute-002", &target).await.unwrap().power,
        Power::On,
        "nobody else"
    );
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn hosts_that_cannot_be_switched_are_refused() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let fencer = maas(&sandbox, &sandbox.maas_api_key());
    sandbox
        .region()
        .faults()
        .maas_power_type("compute-001", "manual")
        .unwrap();
    for host in ["compute-001", "nobody"] {
        let error = fencer
            .power_off(&fencer.plug(host).unwrap(), "r")
            .await
            .unwrap_err();
        assert_eq!(
            (error.fault.class, error.fault.maybe_done),
            (FaultClass::Permanent, false),
            "{error}"
        );
    }
    let stranger = maas(&sandbox, "no:such:key");
    let error = stranger
        .read_power(&stranger.plug("compute-002").unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        (error.fault.status, error.fault.class),
        (Some(401), FaultClass::Permanent),
        "{error}"
    );
    sandbox.stop().await.unwrap();
}
