//! `tachi openapi`.

use tachi_cli::arguments::{OpenapiArgs, OpenapiFormat};
use tachi_cli::out;
use tachi_operator::Failure;

/// Prints the description of the API.
pub(crate) fn run(args: &OpenapiArgs) -> Result<u8, Failure> {
    let text = match args.format {
        OpenapiFormat::Json => serde_json::to_string_pretty(&tachi_api::openapi())
            .map_err(|error| Failure::new("writing the document", error))?,
        OpenapiFormat::Markdown => tachi_api::openapi_page(),
    };
    out::line(text.trim_end());
    Ok(crate::DONE)
}
