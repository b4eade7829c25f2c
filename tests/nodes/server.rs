//! PostgreSQL stops, reads only, is full, was restored from an old state, or is not who it should be. Nobody gets in, it is
//! said which, and when it is over every node goes on by itself.

use super::{Nodes, futures, said, until};
use crate::harness::{Answer, Ask, Wire, proof_key};
use crate::postgres::Server;
use elevate::authority::store::{Faults, Place, PostgresUrl, Store};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

#[tokio::test]
async fn postgresql_that_stops_or_only_reads_lets_nobody_in_until_it_is_back() {
    let mut server = Server::start(&[]);
    let nodes = Nodes::start(&server).await;
    let key = nodes.enrolled().await;
    let says = async |what: &str| {
        let asked = nodes.wires.iter().flat_map(|wire| ["wiki", "prod-db"].map(|resource| (wire.clone(), resource)));
        let ask = |(wire, resource): (Arc<Wire>, &str)| {
            let ask = Ask::new(resource);
            async move { wire.ask(&ask, &proof_key()).await.no() }
        };
        for no in futures(asked.map(ask)).await {
            assert_eq!(no.code(), (503, "temporarily_unavailable"));
            assert!(no.says().contains("PostgreSQL") && no.says().contains(what), "{}", no.says());
            assert!(no.body.elevate_hint.unwrap().contains("nobody gets in until PostgreSQL answers"));
        }
    };
    let works = async || {
        for wire in &nodes.wires {
            wire.elevate(&Ask::new("prod-db"), &proof_key(), &key).await.grant();
        }
        nodes.log_is_whole().await;
    };
    for signal in ["INT", "QUIT"] {
        server.stop(signal);
        says("").await;
        server.resume(&[]);
        works().await;
    }
    server.sql("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("postgres", "SELECT pg_reload_conf()");
    let reads_only = async || !matches!(nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await, Answer::Grant(_));
    until(reads_only).await;
    says("read-only").await;
    server.sql("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("postgres", "SELECT pg_reload_conf()");
    until(async || !reads_only().await).await;
    works().await;
}

#[tokio::test]
async fn an_older_state_under_running_nodes_is_noticed_by_each() {
    let server = Server::shared();
    let nodes = Nodes::start(server).await;
    for wire in &nodes.wires {
        wire.ask(&Ask::new("wiki"), &proof_key()).await.grant();
    }
    let size: i64 = server.sql(&nodes.database, "SELECT max(size) FROM log_checkpoint").parse().unwrap();
    for _ in 0..3 {
        nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.grant();
    }
    server.sql(
        &nodes.database,
        &format!(
            "DELETE FROM log_checkpoint WHERE size > {size}; DELETE FROM log_entry WHERE idx >= {size}; \
             DELETE FROM log_private WHERE idx >= {size}; DELETE FROM log_hash WHERE idx >= {}",
            tlog_tiles::stored_hash_index(0, size.cast_unsigned())
        ),
    );
    // The one that signed what is gone; twice, since a failure must not make it forget.
    for _ in 0..2 {
        let no = nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.no();
        assert_eq!(no.says(), "the audit log does not match its last signed checkpoint");
    }
}

#[tokio::test]
async fn postgresql_that_is_full_lets_nobody_in_until_there_is_room() {
    let server = Server::limited(&["autovacuum=off"], Some(8192));
    let nodes = Nodes::start(&server).await;
    let ask = async || nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await;
    ask().await.grant();
    let rows = "INSERT INTO log_private SELECT -g, '', repeat(md5(g::text), 3) FROM generate_series(1, 100000) g";
    assert!(!server.can(&nodes.database, rows), "there is no limit");
    let mut answer = ask().await;
    while let Answer::Grant(_) = answer {
        answer = ask().await;
    }
    let no = answer.no();
    assert_eq!(no.code(), (503, "temporarily_unavailable"));
    assert!(no.says().contains("PostgreSQL: ") && no.says().contains("File too large"), "{}", no.says());
    server.sql(&nodes.database, "VACUUM log_private");
    ask().await.grant();
    nodes.log_is_whole().await;
}

/// As when the network between them goes away: nothing is closed, and nothing answers.
#[tokio::test]
async fn postgresql_that_says_nothing_at_all_is_not_waited_for() {
    let server = Server::start(&[]);
    let nodes = Nodes::start(&server).await;
    nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.grant();
    server.signal("STOP");
    let begun = std::time::Instant::now();
    let no = nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.no();
    assert!(no.says().contains("PostgreSQL: "), "{}", no.says());
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    server.signal("CONT");
    let goes_on = async || matches!(nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await, Answer::Grant(_));
    until(goes_on).await;
    nodes.log_is_whole().await;
}

#[tokio::test]
async fn the_password_stands_in_a_file_of_its_own() {
    let server = Server::start(&[]);
    let mut nodes = Nodes::prepared(&server);
    server.sql("postgres", "ALTER ROLE elevate PASSWORD 'correct horse'");
    fs::write(server.data().join("pg_hba.conf"), "local all all scram-sha-256\n").unwrap();
    server.sql("postgres", "SELECT pg_reload_conf()");
    let file = nodes.home.path().join("pgpass");
    let start = |mode| {
        put(&file, "*:*:*:elevate:correct horse\n", mode);
        nodes.command(0).env("PGPASSFILE", &file).spawn().unwrap()
    };
    // One that others can read is not read.
    for mode in [0o644, 0o600] {
        let mut node = start(mode);
        if mode == 0o600 {
            nodes.joined(0, node).await;
            break;
        }
        let error = said(&mut node)["error"].as_str().unwrap().to_owned();
        assert!(error.contains("the store can't be used: PostgreSQL: "), "{error}");
        node.wait().unwrap();
    }
    nodes.node(0).ask(&Ask::new("wiki"), &proof_key()).await.grant();
}

/// A certificate authority's certificate, and a server's certificate and key from it.
fn certificates(name: &str) -> [String; 3] {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    [root, certificate.pem(), key.serialize_pem()]
}

fn put(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn over_tls_postgresql_is_who_its_certificate_says() {
    let mut server = Server::start(&[]);
    let database = server.database();
    server.stop("INT");
    let files = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.port = port;
    let root = files.path().join("root.pem");
    let open = async |parameters: &str| {
        let url = format!("postgres://elevate@localhost:{port}/{database}?{parameters}&sslrootcert={}", root.display());
        let place = Place::Postgres(PostgresUrl::try_from(url).unwrap());
        Store::open(&place, Faults::default()).await.err().map(|error| error.to_string())
    };
    for (name, full, chain) in [("localhost", true, true), ("db.example", false, true)] {
        let [ca, certificate, key] = certificates(name);
        put(&server.data().join("server.crt"), &certificate, 0o600);
        put(&server.data().join("server.key"), &key, 0o600);
        server.resume(&["ssl=on", "listen_addresses=127.0.0.1"]);
        put(&root, &ca, 0o644);
        assert_eq!(open("sslmode=verify-full").await.is_none(), full);
        assert_eq!(open("sslmode=verify-ca").await.is_none(), chain);
        // Another authority's word is none, and a file that others can write is nobody's.
        put(&root, &certificates(name)[0], 0o644);
        let error = open("sslmode=verify-ca").await.unwrap();
        assert!(error.contains("PostgreSQL: ") && error.contains("certificate"), "{error}");
        put(&root, &ca, 0o666);
        assert!(open("sslmode=verify-full").await.unwrap().contains("others can write it"));
        server.stop("INT");
    }
    server.resume(&[]);
}
