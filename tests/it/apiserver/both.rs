//! The same tests for the stand-in and for a kube-apiserver.

/// Runs each of these test bodies against the stand-in. The same against a kube-apiserver are ignored
/// tests, which `tests/all` runs where `PODGATE_KUBE_APISERVER` names one.
macro_rules! against_both {
    ($($body:ident),+ $(,)?) => {
        mod stand_in {
            $(
                #[tokio::test]
                async fn $body() {
                    use crate::apiserver::server::Server;
                    super::$body(crate::apiserver::stand::Stand::start().await).await;
                }
            )+
        }

        mod kube_apiserver {
            $(
                #[tokio::test]
                #[ignore = "needs PODGATE_KUBE_APISERVER"]
                async fn $body() {
                    use crate::apiserver::server::Server;
                    super::$body(crate::apiserver::real::Real::start().await).await;
                }
            )+
        }
    };
}
pub(super) use against_both;
