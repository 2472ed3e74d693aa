//! Links of two frontdoors at two replicas of the page, which have nothing in common but a bucket.

use podgate_tests::real::s3::{BUCKET, S3};

use super::stand::Page;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_any_frontdoor_lets_one_in_at_one_replica_alone() {
    let s3 = S3::start().await.unwrap();
    let endpoint = format!("http://127.0.0.1:{}", s3.port());
    let store = format!(
        "store: 's3://{BUCKET}/prod'\noptions: {{endpoint: '{endpoint}', allow_http: 'true', region: us-east-1, access_key_id: a, secret_access_key: s}}\n"
    );
    let page = Page::start_at(&store, "", "").await;
    let other = Page::another(page.dir.path(), "").await;
    let (_frontdoor, client) = page.stand.another_frontdoor().await.unwrap();
    let id = page.record("true").await;
    for client in [&page.stand.client, &client] {
        let link = page.link_by(client, &id).await;
        let answers = page.race(&other, &link).await;
        let mut statuses = answers.each_ref().map(|answer| answer.status);
        statuses.sort_unstable();
        assert_eq!(statuses, [303, 410, 410, 410]);
        // Nor does anybody later.
        let later = page.race(&other, &link).await.map(|answer| answer.status);
        assert_eq!(later, [410; 4]);
    }
    let used = s3.names().await.unwrap();
    let used = used.iter().filter(|name| name.ends_with(".used"));
    assert_eq!(used.count(), 2);
}
