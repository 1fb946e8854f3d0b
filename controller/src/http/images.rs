//! OS images: lists, import from a URL or as a body, deletion.

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use helix_api::image::{Image, ImageImport};
use helix_api::page::Page;
use serde_json::json;

use super::Answer;
use super::actor::{Actor, Operator, Viewer};
use super::body::Body;
use super::params::Params;
use super::problem::Refused;
use crate::app::App;
use crate::media::ImageError;
use crate::media::image::{self, NewImage};

impl From<ImageError> for Refused {
    fn from(error: ImageError) -> Self {
        if error.status() >= 500 {
            tracing::error!(error = error.in_words(), code = error.code(), "work on an image failed");
        }
        Self(Box::new(error.problem()))
    }
}

/// Every image, by name.
#[utoipa::path(get, path = "/api/v1/images", tag = "images",
    responses((status = 200, body = Page<Image>), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn list(_: Viewer, State(app): State<Arc<App>>) -> Answer<Json<Page<Image>>> {
    let items = image::list(&app.db).await?;
    let total = items.len() as u64;
    Ok(Json(Page { items, next: None, total }))
}

/// One image by name or id.
#[utoipa::path(get, path = "/api/v1/images/{name}", tag = "images", params(("name" = String, Path)),
    responses((status = 200, body = Image), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn show(_: Viewer, State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Json<Image>> {
    Ok(Json(image::show(&app.db, &name).await?))
}

/// Imports an image: from a URL (JSON), or the file itself as `application/octet-stream` with its name in the query. What
/// goes wrong after the answer stands in the image.
#[utoipa::path(post, path = "/api/v1/images", tag = "images",
    params(("name" = Option<String>, Query, description = "Name of an uploaded image"),
        ("sha256" = Option<String>, Query, description = "Expected SHA-256 of the uploaded file"),
        ("file" = Option<String>, Query, description = "Name of the uploaded file, for people")),
    request_body(content((ImageImport = "application/json"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 202, body = Image), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn create(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    params: Params,
    request: Request,
) -> Answer<(StatusCode, Json<Image>)> {
    params.only(&["name", "sha256", "file"])?;
    let upload = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|text| text.starts_with("application/octet-stream"));
    let image = if upload {
        receive(&app, &actor, &params, request).await?
    } else {
        let Body(import) = Body::<ImageImport>::from_request(request, &()).await?;
        let new = NewImage {
            name: import.name,
            source: import.url.clone(),
            expected_sha256: import.sha256,
            created_by: actor.name.clone(),
        };
        image::fetch(&app, new, &import.url).await?
    };
    let detail = json!({ "source": image.source });
    actor.record(&app.db, "image.import", ("image", image.id.clone(), &image.name), detail).await?;
    Ok((StatusCode::ACCEPTED, Json(image)))
}

async fn receive(app: &Arc<App>, actor: &Actor, params: &Params, request: Request) -> Answer<Image> {
    let name = params.one("name").ok_or_else(|| {
        Refused::bad_request("image_name_missing", "An upload needs a name: ?name=debian-12").field("name")
    })?;
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let new = NewImage {
        name: name.to_owned(),
        source: params.one("file").unwrap_or("upload").to_owned(),
        expected_sha256: params.one("sha256").map(str::to_owned),
        created_by: actor.name.clone(),
    };
    Ok(image::upload(app, new, length, request.into_body().into_data_stream()).await?)
}

/// Deletes an image that no workflow under way writes. Nodes that run it keep running it.
#[utoipa::path(delete, path = "/api/v1/images/{name}", tag = "images", params(("name" = String, Path)),
    responses((status = 204), (status = "4XX", body = helix_api::problem::Problem)))]
pub(crate) async fn delete(
    Operator(actor): Operator,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let image = image::delete(&app, &name).await?;
    let detail = json!({ "sha256": image.sha256 });
    actor.record(&app.db, "image.delete", ("image", image.id.clone(), &image.name), detail).await?;
    Ok(StatusCode::NO_CONTENT)
}
