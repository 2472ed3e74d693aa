//! Targets that have several pods, by real ssh: which pod is picked, who may enter, and what the API
//! server is asked for, with a watch of the pods and without.

mod asked;
mod may;
mod picked;

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use podgate_tests::fixtures::stand::{Changes, NODE, NODE_IP, Stand};
use podgate_tests::real::ssh::Client;
use podgate_tests::stand_ins::cluster::{PodBuilder, pod};
use podgate_tests::stand_ins::embedded::EmbeddedContainer;

const SOON: Duration = Duration::from_secs(30);

/// A stand whose frontdoor has these lines more.
async fn stand(frontdoor: &str) -> Stand {
    let changes = Changes {
        frontdoor: frontdoor.to_owned(),
        ..Changes::default()
    };
    Stand::embedded(changes).await.unwrap()
}

/// The same once its frontdoor knows the cluster.
async fn watched(frontdoor: &str) -> Stand {
    let stand = stand(frontdoor).await;
    stand.api.wait_watches(1).await.unwrap();
    stand
}

/// A pod with a label `app`, whose one container says its name and namespace by `echo $WHERE`.
fn web(stand: &Stand, namespace: &str, name: &str, app: &str) -> PodBuilder {
    let id = format!("{namespace}-{name}");
    let container = EmbeddedContainer {
        env: vec![("WHERE".to_owned(), format!("{name}.{namespace}"))],
        ..EmbeddedContainer::default()
    };
    stand.embedded.as_ref().unwrap().container(&id, container);
    pod(namespace, name, &format!("{id}-uid"), NODE, NODE_IP)
        .container("main", &id)
        .label("app", app)
}

fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

/// Pods with `app=APP`.
fn app(app: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some([("app".to_owned(), app.to_owned())].into()),
        ..LabelSelector::default()
    }
}

/// A deployment of the pods whose `app` is its name.
fn deployment(namespace: &str, name: &str) -> Deployment {
    Deployment {
        metadata: metadata(namespace, name),
        spec: Some(DeploymentSpec {
            selector: app(name),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Waits until the frontdoor knows of so many pods.
async fn knows(stand: &Stand, pods: usize) {
    let line = format!("podgate_frontdoor_pods {pods}");
    stand.frontdoor.counts(SOON, &[&line]).await.unwrap();
}

/// Where a login name leads.
async fn leads(client: &Client, login: &str) -> String {
    let output = client.run(&[], login, "echo $WHERE").await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "", "{login}");
    assert_eq!(output.status.code(), Some(0), "{login}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What is printed if it leads nowhere.
async fn refused(client: &Client, login: &str) -> String {
    let output = client.run(&[], login, "echo ran").await.unwrap();
    assert_eq!(output.status.code(), Some(255), "{login}");
    assert!(output.stdout.is_empty(), "{login}");
    let said = String::from_utf8(output.stderr).unwrap();
    let line = said.strip_prefix("podgate: ").unwrap_or(&said);
    line.trim_end_matches("\r\n").to_owned()
}
