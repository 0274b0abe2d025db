//! Images: from the engine's store, from a Dockerfile, or from a registry.

use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptionsBuilder};
use futures::{StreamExt, TryStreamExt, future, stream, stream::BoxStream};

use super::{Docker, is_missing};
use crate::runtime::RuntimeError;

impl Docker {
    pub(super) fn prepare<'a>(
        &'a self,
        image: &'a str,
        context: Option<Vec<u8>>,
    ) -> BoxStream<'a, Result<String, RuntimeError>> {
        let steps = async move {
            Ok(match self.client.inspect_image(image).await {
                Ok(_) => stream::iter([Ok(format!("image {image} is in the store"))]).boxed(),
                Err(error) if !is_missing(&error) => {
                    return Err(self.refused(format!("look for the image {image}"))(error));
                }
                Err(_) => match context {
                    Some(context) => self.build(image, context),
                    None => self.pull(image),
                },
            })
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn build<'a>(
        &'a self,
        image: &'a str,
        context: Vec<u8>,
    ) -> BoxStream<'a, Result<String, RuntimeError>> {
        // Intermediate containers go with the build, also with a failed one.
        let options = BuildImageOptionsBuilder::default()
            .t(image)
            .rm(true)
            .forcerm(true)
            .build();
        let body = bollard::body_full(context.into());
        let failed = move |reason: String| RuntimeError::Build {
            image: image.to_owned(),
            reason,
        };
        self.client
            .build_image(options, None, Some(body))
            .map(move |step| match step {
                Ok(step) => match step.error_detail.and_then(|detail| detail.message) {
                    Some(message) => Err(failed(message)),
                    None => Ok(step
                        .stream
                        .or(step.status)
                        .unwrap_or_default()
                        .trim()
                        .to_owned()),
                },
                Err(error) => Err(failed(error.to_string())),
            })
            .try_filter(|line| future::ready(!line.is_empty()))
            .boxed()
    }

    fn pull<'a>(&'a self, image: &'a str) -> BoxStream<'a, Result<String, RuntimeError>> {
        let options = CreateImageOptionsBuilder::default().from_image(image);
        // Without a tag the engine would pull all of them.
        let bare = !image
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .contains([':', '@']);
        let options = if bare { options.tag("latest") } else { options };
        let failed = move |reason: String| RuntimeError::NoImage {
            image: image.to_owned(),
            reason,
        };
        self.client
            .create_image(Some(options.build()), None, None)
            .map(move |step| match step {
                Ok(step) => match step.error_detail.and_then(|detail| detail.message) {
                    Some(message) => Err(failed(message)),
                    None => {
                        let parts = [step.id, step.status];
                        Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(": "))
                    }
                },
                Err(error) => Err(failed(error.to_string())),
            })
            .boxed()
    }
}
