//! The same in containers that containerd of this machine cannot be asked for.

use podgate_tests::real::raw_container::RawContainer;
use serde_json::{Value, json};

use super::*;

/// The same in a container that runc alone runs, with this change of its description.
async fn compare_raw(
    change: impl FnOnce(&mut Value),
    more: impl AsyncFn(&Stand, &RawContainer, &Path),
) {
    let node = Node::start(Changes::default()).await;
    let (stand, volumes) = (&node.stand, Volumes::new());
    let spec = PodSpec::new("same").container(volumes.mount(app()));
    let mut pod = stand.run_pod(spec).await.unwrap();
    let containerd = stand.containerd.as_ref().unwrap();
    let raw = containerd.run_raw(&pod, change).await.unwrap();
    pod.containers[0].id.clone_from(&raw.id);
    stand.publish(&pod);
    let exec = async |script: &str| text(&raw.exec(script).await.unwrap().stdout);
    let folders = (volumes.volume.0.path(), volumes.shared.0.path());
    compare_with((stand, "same"), folders, exec).await;
    more(stand, &raw, folders.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn within_limits_of_its_own() {
    let limit = |kind: &str, most: u64| json!({"type": kind, "soft": most, "hard": most});
    let change = |config: &mut Value| {
        let limits = [limit("RLIMIT_FSIZE", 1_000_000), limit("RLIMIT_NOFILE", 77)];
        config["process"]["rlimits"] = json!(limits);
    };
    compare_raw(change, async |stand, raw, volume| {
        let large = Local::new();
        let file = large.file("large", 3_000_000);
        let batch = format!("put {} /volume/large\n", file.display());
        let told = fails(&sftp(stand, "same", &batch).await);
        let line = "ended by signal 25, as where a file reaches the container's limit of its size";
        assert!(told.contains(line), "{told}");
        let script = "head -c 3000000 /dev/zero >/volume/by-shell";
        assert!(!raw.exec(script).await.unwrap().status.success());
        for name in ["large", "by-shell"] {
            let length = std::fs::metadata(volume.join(name)).unwrap().len();
            assert_eq!(length, 1_000_000, "{name}");
        }
    })
    .await;
}

/// As a pod with `hostUsers: false`.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_user_namespace() {
    let ids = json!([{"containerID": 0, "hostID": 1_000_000, "size": 65536}]);
    let change = |config: &mut Value| {
        let linux = config["linux"].as_object_mut().unwrap();
        for key in ["uidMappings", "gidMappings"] {
            linux.insert(key.to_owned(), ids.clone());
        }
        let namespaces = linux["namespaces"].as_array_mut().unwrap();
        namespaces.push(json!({"type": "user"}));
    };
    compare_raw(change, async |stand, raw, volume| {
        let local = Local::new();
        let file = local.file("file", 3000);
        let batch = format!("put {} /volume/its\n", file.display());
        succeeds(&sftp(stand, "same", &batch).await);
        let owner = std::fs::metadata(volume.join("its")).unwrap().uid();
        assert_eq!(owner, 1_000_000);
        assert_eq!(text(&raw.exec("id -u").await.unwrap().stdout), "0\n");
    })
    .await;
}

/// Its processors are shared out by its control group, to which a worker's time is charged, too.
#[tokio::test(flavor = "multi_thread")]
async fn within_a_limit_of_its_processors() {
    let change = |config: &mut Value| {
        let resources = config["linux"]["resources"].as_object_mut().unwrap();
        let limit = json!({"quota": 20_000, "period": 100_000});
        resources.insert("cpu".to_owned(), limit);
    };
    compare_raw(change, async |stand, raw, volume| {
        // What the worker copies by itself takes its time alone.
        let holes = std::fs::File::create(volume.join("holes")).unwrap();
        holes.set_len(1 << 30).unwrap();
        let before = used(raw);
        succeeds(&sftp(stand, "same", "cp /volume/holes /dev/null\n").await);
        let took = used(raw) - before;
        assert!(took > Duration::from_millis(30), "{took:?}");
    })
    .await;
}

/// How much time its control group has had.
fn used(raw: &RawContainer) -> Duration {
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", raw.pid().unwrap())).unwrap();
    let mut used = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, path) = (fields.next()?, fields.next()?);
        let read = |name: &str| std::fs::read_to_string(format!("/sys/fs/cgroup{name}")).ok();
        if kinds.split(',').any(|kind| kind == "cpuacct") {
            let nanos = read(&format!("/{kinds}{path}/cpuacct.usage"))?;
            return Some(Duration::from_nanos(nanos.trim().parse().ok()?));
        }
        let stat = read(&format!("{path}/cpu.stat"))?;
        let micros = stat
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "));
        Some(Duration::from_micros(micros?.parse().ok()?))
    });
    used.next().unwrap()
}
