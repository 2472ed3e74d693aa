//! A frontdoor whose clock jumps while it records.

use podgate_tests::instruments::clock::Clock;

use super::*;

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_costs_a_recording_neither_a_byte_nor_its_times() {
    let clock = Clock::new().unwrap();
    let (stand, _dir) = stand("  rules: [{record: strict}]\n").await;
    let other = stand.another_frontdoor_in(&clock.enter()).await;
    let (frontdoor, client) = other.unwrap();
    let ready = || async {
        let (status, _) = frontdoor.admin("/readyz").await.ok()?;
        (status == 200).then_some(())
    };
    eventually("readiness", SOON, ready).await.unwrap();
    let mut ssh = client.ssh(&[], "demo");
    ssh.arg("cat");
    let mut echo = Echo::start(ssh).await.unwrap();
    let listed = async |since: &str| {
        let line = format!("recordings --json --since {since}");
        let (status, lines, error) = ask(&client, &line).await;
        assert_eq!(status, Some(0), "{error}");
        lines.lines().count()
    };
    // Its first chunk, which is sealed after 5 s, is in the store under the day on which it began.
    let open = || async { (listed("1h").await == 1).then_some(()) };
    eventually("an open recording", SOON, open).await.unwrap();
    let jumps = [3 * DAY, -3 * DAY, 40 * DAY, 0];
    for jump in jumps {
        clock.is_ahead(jump).unwrap();
        echo.says(&format!("{jump} s")).await.unwrap();
        // The clock has really jumped, and days in the past are looked at as ever.
        if jump > 0 {
            assert_eq!((listed("1d").await, listed("50d").await), (0, 1));
        }
    }
    echo.close();
    assert_eq!(echo.ended().await.unwrap().1, Some(0));

    let [entry] = &list(&client, 1).await[..] else {
        panic!()
    };
    let id = id(entry);
    let (status, words, _) = ask(&client, &format!("verify {id}")).await;
    assert_eq!(status, Some(0), "{words}");
    let (_, played, _) = ask(&client, &format!("play {id}")).await;
    let said: String = jumps.map(|jump| format!("{jump} s\n")).concat();
    assert_eq!(played, format!("here\n{said}"));
    // Time in it is that of a clock that does not jump.
    let (_, cast, _) = ask(&client, &format!("export {id}")).await;
    let intervals = cast.lines().skip(1).map(|line| {
        let event: Value = serde_json::from_str(line).unwrap();
        event[0].as_f64().unwrap()
    });
    let sum: f64 = intervals.sum();
    let duration = entry["end"]["durationMs"].as_u64().unwrap() as f64 / 1000.0;
    assert!(
        sum <= duration + 0.001 && duration < 3600.0,
        "{sum} {duration}"
    );
}
