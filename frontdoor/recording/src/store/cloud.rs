//! Stores of clouds: S3 and what speaks it, Google Cloud Storage and Azure. Their keys are those of
//! object_store. Credentials come from the environment, as each cloud's own programs take them: keys, a
//! workload identity's token or the node's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::error::{Error, LIMIT};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Opens a bucket or container; `None` if there are no such stores.
pub(super) fn open(
    scheme: &str,
    bucket: &str,
    options: &BTreeMap<String, String>,
    retries: usize,
) -> Result<Option<Arc<dyn ObjectStore>>, Error> {
    let client = ClientOptions::new()
        .with_connect_timeout(CONNECT)
        .with_timeout_disabled();
    let retry = RetryConfig {
        max_retries: retries,
        retry_timeout: LIMIT,
        ..RetryConfig::default()
    };
    let objects: Arc<dyn ObjectStore> = match scheme {
        "s3" => {
            let mut builder = AmazonS3Builder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<AmazonS3ConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
        "gs" => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(bucket)
                .with_client_options(client)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<GoogleConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
        "az" => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_container_name(bucket)
                .with_client_options(client)
                .with_retry(retry);
            for (key, value) in options {
                builder = builder.with_config(key.parse::<AzureConfigKey>()?, value);
            }
            Arc::new(builder.build()?)
        }
        _ => return Ok(None),
    };
    Ok(Some(objects))
}
