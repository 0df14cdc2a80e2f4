//! `[fencing]`: the power controllers.

use std::path::PathBuf;

use tachi_config::{Reader, Refusal};
use tachi_fence::{MaasOptions, Source};

/// The MAAS, if one is named.
pub(super) fn maas(r: &mut Reader<'_>) -> Option<MaasOptions> {
    let url = r.string("fencing", "maas_url").optional();
    let key = r
        .parsed(
            "fencing",
            "maas_api_key",
            |text: &str| {
                let source: Source = text.parse().map_err(|error: tachi_fence::CredentialError| {
                    Refusal::new(
                        error.to_string(),
                        "write file:/path or cred:name; the key itself stays out of here",
                    )
                })?;
                source.load().map_err(|error| {
                    Refusal::new(error.to_string(), "put the key there, readable by us alone")
                })
            },
            |_| "***".into(),
        )
        .secret()
        .optional();
    let ca_file = r.string("fencing", "maas_ca_file").optional().map(PathBuf::from);
    let allow_http = r.bool("fencing", "maas_allow_http").default(false).get();
    let url = url?;
    let Some(key) = key else {
        r.refuse(
            "fencing",
            "maas_api_key",
            Refusal::new("is missing, and maas_url is set", "write file:/path or cred:name"),
        );
        return None;
    };
    Some(MaasOptions {
        ca_file,
        allow_http,
        ..MaasOptions::new(url, key)
    })
}
