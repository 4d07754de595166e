//! The style sheet, the script and the icon, inside the program. Their names carry a hash of their content, so that a
//! browser may keep them for ever.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// One file.
pub(crate) struct Asset {
    /// Under `/assets/`.
    name: String,
    kind: &'static str,
    content: &'static str,
    packed: Vec<u8>,
}

impl Asset {
    fn new(stem: &str, ending: &str, kind: &'static str, content: &'static str) -> Self {
        let hash = Sha256::digest(content.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash[..9]);
        Self {
            name: format!("{stem}-{hash}.{ending}"),
            kind,
            content,
            packed: pack(content.as_bytes()),
        }
    }

    /// Where a page finds it.
    pub(crate) fn path(&self) -> String {
        format!("/assets/{}", self.name)
    }
}

fn pack(content: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let written = packed.write_all(content).and_then(|()| packed.finish());
    // Writing to memory can't fail; an empty answer would say so.
    written.unwrap_or_default()
}

pub(crate) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css", include_str!("style.css")));
pub(crate) static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", "text/javascript", include_str!("script.js")));
pub(crate) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("icon.svg")));

/// Serves a file by its name with the hash.
pub(crate) async fn serve(Path(name): Path<String>, request: header::HeaderMap) -> Response {
    let all = [&*STYLE, &*SCRIPT, &*ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            format!("{}; charset=utf-8", asset.kind),
        ),
        (
            header::CACHE_CONTROL,
            "public, max-age=31536000, immutable".to_owned(),
        ),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    let gzip = request
        .get(header::ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("gzip"));
    if gzip {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (headers, encoding, asset.packed.as_slice()).into_response();
    }
    (headers, asset.content).into_response()
}
