//! Questions and answers of a source that is a counter.

use std::sync::atomic::AtomicU32;

use futures_util::FutureExt;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const SEVERAL: NonZeroUsize = NonZeroUsize::new(4).unwrap();

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Error {
    #[error("the source is away")]
    Away,
    #[error("the source has none")]
    Absent,
}

impl Outage for Error {
    fn is_away(&self) -> bool {
        *self == Self::Away
    }
}

type Numbers = Cache<&'static str, u32, Error>;

fn numbers() -> Numbers {
    Cache::new(SEVERAL)
}

fn once(_: &u32) -> Ages {
    Ages::default()
}

fn good_for_an_hour(_: &u32) -> Ages {
    Ages {
        good: HOUR,
        ..Ages::default()
    }
}

fn outage_of_an_hour(_: &u32) -> Ages {
    Ages {
        outage: HOUR,
        ..Ages::default()
    }
}

#[tokio::test(flavor = "current_thread")]
async fn all_who_wait_have_one_answer() {
    let (cache, asked) = (numbers(), AtomicU32::new(0));
    let ask = || {
        cache.get("a", once, async {
            tokio::task::yield_now().await;
            Ok(asked.fetch_add(1, Ordering::Relaxed))
        })
    };
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    assert_eq!([one, two, three], [Ok(0); 3]);
    assert_eq!(ask().await, Ok(1));
    assert_eq!(cache.get("b", once, async { Ok(7) }).await, Ok(7));
}

#[tokio::test(flavor = "current_thread")]
async fn all_who_wait_have_one_failure() {
    let (cache, asked) = (numbers(), AtomicU32::new(0));
    let ask = || {
        cache.get("a", once, async {
            tokio::task::yield_now().await;
            asked.fetch_add(1, Ordering::Relaxed);
            Err(Error::Absent)
        })
    };
    let (one, two) = tokio::join!(ask(), ask());
    assert_eq!([one, two], [Err(Error::Absent); 2]);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(ask().await, Err(Error::Absent));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_serves_as_long_as_it_is_good() {
    let cache = numbers();
    let ask = |ages: fn(&u32) -> Ages, answer| cache.get("a", ages, std::future::ready(answer));
    assert_eq!(ask(good_for_an_hour, Ok(1)).await, Ok(1));
    assert_eq!(ask(good_for_an_hour, Ok(2)).await, Ok(1));
    // Another caller may want a younger one.
    assert_eq!(ask(outage_of_an_hour, Ok(3)).await, Ok(3));
    // How long a value is good may depend on the value.
    let ages = |value: &u32| match value {
        3 => once(value),
        _ => good_for_an_hour(value),
    };
    let ask = |answer| cache.get("a", ages, std::future::ready(answer));
    assert_eq!(ask(Ok(4)).await, Ok(4));
    assert_eq!(ask(Ok(5)).await, Ok(4));
}

#[tokio::test(flavor = "current_thread")]
async fn an_answer_for_nobody_is_not_held() {
    let cache = Cache::<_, _, Error>::new(SEVERAL);
    let answer = Arc::new(());
    let ask = || {
        let answer = Arc::clone(&answer);
        cache.get("a", |_| Ages::default(), async {
            tokio::task::yield_now().await;
            Ok(answer)
        })
    };
    ask().await.unwrap();
    assert_eq!(Arc::strong_count(&answer), 1);
    // One caller gives up while it waits, and another never polls although its answer is there.
    let (mut one, mut two, mut three) = (Box::pin(ask()), Box::pin(ask()), Box::pin(ask()));
    assert!(one.as_mut().now_or_never().is_none());
    assert!(two.as_mut().now_or_never().is_none());
    assert!(three.as_mut().now_or_never().is_none());
    drop(two);
    one.await.unwrap();
    // The references: this test's, the one that the third would ask for, and the one that it is to get.
    assert_eq!(Arc::strong_count(&answer), 3);
    drop(three);
    assert_eq!(Arc::strong_count(&answer), 1);
}

#[tokio::test(flavor = "current_thread")]
async fn a_failure_is_the_answer_for_a_moment() {
    let check = async |cache: Numbers, expect: u32| {
        let asked = AtomicU32::new(0);
        for _ in 0..10 {
            let answer = cache.get("a", once, async {
                asked.fetch_add(1, Ordering::Relaxed);
                Err(Error::Absent)
            });
            assert_eq!(answer.await, Err(Error::Absent));
        }
        assert_eq!(asked.load(Ordering::Relaxed), expect);
    };
    check(numbers().failed(HOUR), 1).await;
    check(numbers(), 10).await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_earlier_answer_serves_while_the_source_is_away() {
    let cache = numbers();
    let ask = |ages: fn(&u32) -> Ages, answer| cache.get("a", ages, std::future::ready(answer));
    assert_eq!(ask(outage_of_an_hour, Ok(1)).await, Ok(1));
    assert_eq!(ask(outage_of_an_hour, Err(Error::Away)).await, Ok(1));
    let absent = Err(Error::Absent);
    assert_eq!(ask(outage_of_an_hour, absent).await, absent);
    assert_eq!(ask(once, Err(Error::Away)).await, Err(Error::Away));
}

#[tokio::test(flavor = "current_thread")]
async fn a_source_that_is_away_is_not_asked_at_once_again() {
    let check = async |cache: Numbers, expect: u32| {
        let asked = AtomicU32::new(0);
        let ask = |question, answer| {
            let asked = &asked;
            cache.get(question, outage_of_an_hour, async move {
                asked.fetch_add(1, Ordering::Relaxed);
                answer
            })
        };
        for question in ["a", "b"] {
            assert_eq!(ask(question, Ok(1)).await, Ok(1));
        }
        assert_eq!(ask("a", Err(Error::Away)).await, Ok(1));
        assert_eq!(ask("b", Err(Error::Away)).await, Ok(1));
        assert_eq!(asked.load(Ordering::Relaxed), expect);
        // No earlier answer can serve here, so the source is asked, and has come back.
        assert_eq!(ask("c", Ok(2)).await, Ok(2));
        assert_eq!(ask("a", Ok(2)).await, Ok(2));
    };
    check(numbers().away(HOUR), 3).await;
    check(numbers(), 4).await;
}

#[tokio::test(flavor = "current_thread")]
async fn anew_is_asked_after_the_call() {
    let cache = Cache::<_, u32>::new(SEVERAL);
    let asked = AtomicU32::new(0);
    let ask = || {
        cache.anew("a", async {
            tokio::task::yield_now().await;
            Ok::<_, Error>(asked.fetch_add(1, Ordering::Relaxed))
        })
    };
    let (mut one, mut two, mut three) = (Box::pin(ask()), Box::pin(ask()), Box::pin(ask()));
    assert!(one.as_mut().now_or_never().is_none());
    // These callers come while the first question is under way. Its answer may be too old for them.
    assert!(two.as_mut().now_or_never().is_none());
    assert!(three.as_mut().now_or_never().is_none());
    let (one, two, three) = tokio::join!(one, two, three);
    assert_eq!([one, two, three], [Ok(0), Ok(1), Ok(1)]);
    assert_eq!(ask().await, Ok(2));
    // If one caller's question fails, the next in line asks again.
    let fail = cache.anew("a", async {
        tokio::task::yield_now().await;
        Err(Error::Absent)
    });
    let (failed, next) = tokio::join!(fail, ask());
    assert_eq!((failed, next), (Err(Error::Absent), Ok(3)));
}

#[tokio::test(flavor = "current_thread")]
async fn a_recent_answer_is_there_without_waiting() {
    let cache = Cache::<_, u32>::new(SEVERAL);
    assert_eq!(cache.recent(&"a", HOUR), None);
    let ask = |answer| cache.anew("a", std::future::ready(answer));
    assert_eq!(ask(Ok::<_, Error>(1)).await, Ok(1));
    assert_eq!(cache.recent(&"a", HOUR), Some(1));
    assert_eq!(cache.recent(&"a", Duration::ZERO), None);
    let mut asking = Box::pin(cache.anew("a", std::future::pending::<Result<_, Error>>()));
    assert!(asking.as_mut().now_or_never().is_none());
    assert_eq!(cache.recent(&"a", HOUR), Some(1));
}

#[tokio::test(flavor = "current_thread")]
async fn the_question_longest_unused_is_forgotten() {
    let cache = Numbers::new(NonZeroUsize::new(2).unwrap());
    let ask = |question, answer| cache.get(question, good_for_an_hour, std::future::ready(answer));
    for question in ["a", "b", "a", "c"] {
        assert_eq!(ask(question, Ok(1)).await, Ok(1));
    }
    assert_eq!(ask("a", Ok(2)).await, Ok(1));
    assert_eq!(ask("b", Ok(2)).await, Ok(2));
}
