//! Writes small files in MaxMind's format (MaxMind DB 2.0), for IPv6 with IPv4 below `::/96`, as theirs are.

use std::net::{IpAddr, Ipv4Addr};

/// A value of the format that tests need.
pub enum Value {
    Text(&'static str),
    Number(u32),
    Degrees(f64),
    Map(Vec<(&'static str, Value)>),
}

/// A city: country and place.
pub fn city(country: &'static str, latitude: f64, longitude: f64) -> Value {
    Value::Map(vec![
        ("country", Value::Map(vec![("iso_code", Value::Text(country))])),
        (
            "location",
            Value::Map(vec![("latitude", Value::Degrees(latitude)), ("longitude", Value::Degrees(longitude))]),
        ),
    ])
}

/// An autonomous system.
pub fn system(number: u32) -> Value {
    Value::Map(vec![("autonomous_system_number", Value::Number(number))])
}

/// A file with a value for each of these /24, built then.
pub fn file(kind: &'static str, built: i64, networks: &[([u8; 3], Value)]) -> Vec<u8> {
    // Each node is two records: another node, nothing, or a place among the data.
    let mut nodes: Vec<[Record; 2]> = vec![[Record::Nothing; 2]];
    let mut data = Vec::new();
    for ([a, b, c], value) in networks {
        let at = data.len();
        write(value, &mut data);
        let bits = u128::from(Ipv4Addr::new(*a, *b, *c, 0).to_bits());
        let mut node = 0;
        for depth in 0..120 {
            let side = usize::from(bits >> (127 - depth) & 1 == 1);
            if depth == 119 {
                nodes[node][side] = Record::Data(at);
            } else if let Record::Node(next) = nodes[node][side] {
                node = next;
            } else {
                nodes.push([Record::Nothing; 2]);
                nodes[node][side] = Record::Node(nodes.len() - 1);
                node = nodes.len() - 1;
            }
        }
    }
    let count = nodes.len();
    let mut file = Vec::new();
    for record in nodes.iter().flatten() {
        let number = match record {
            Record::Node(node) => *node,
            Record::Nothing => count,
            Record::Data(at) => count + 16 + at,
        };
        file.extend(&u32::try_from(number).unwrap().to_be_bytes()[1..]);
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    write_metadata(&mut file, kind, built, u32::try_from(count).unwrap());
    file
}

#[derive(Clone, Copy)]
enum Record {
    Node(usize),
    Nothing,
    Data(usize),
}

/// The control byte's type, and the length.
fn control(kind: u8, length: usize, out: &mut Vec<u8>) {
    let (short, long) = if length < 29 { (length, None) } else { (29, Some(length - 29)) };
    if kind > 7 {
        out.extend([u8::try_from(short).unwrap(), kind - 7]);
    } else {
        out.push(kind << 5 | u8::try_from(short).unwrap());
    }
    out.extend(long.map(|long| u8::try_from(long).unwrap()));
}

fn text(value: &str, out: &mut Vec<u8>) {
    control(2, value.len(), out);
    out.extend(value.as_bytes());
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(value) => text(value, out),
        Value::Number(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::Degrees(degrees) => {
            control(3, 8, out);
            out.extend(degrees.to_be_bytes());
        }
        Value::Map(fields) => {
            control(7, fields.len(), out);
            for (name, value) in fields {
                text(name, out);
                write(value, out);
            }
        }
    }
}

fn write_metadata(out: &mut Vec<u8>, kind: &'static str, built: i64, nodes: u32) {
    control(7, 9, out);
    let number = |kind: u8, bytes: &[u8], out: &mut Vec<u8>| {
        control(kind, bytes.len(), out);
        out.extend(bytes);
    };
    for (name, value) in [("binary_format_major_version", 2_u16), ("binary_format_minor_version", 0)] {
        text(name, out);
        number(5, &value.to_be_bytes(), out);
    }
    text("build_epoch", out);
    number(9, &u64::try_from(built).unwrap().to_be_bytes(), out);
    text("database_type", out);
    text(kind, out);
    text("description", out);
    write(&Value::Map(vec![("en", Value::Text("for tests"))]), out);
    for (name, value) in [("ip_version", 6_u16), ("record_size", 24)] {
        text(name, out);
        number(5, &value.to_be_bytes(), out);
    }
    text("languages", out);
    control(11, 1, out);
    text("en", out);
    text("node_count", out);
    number(6, &nodes.to_be_bytes(), out);
}

/// What others read in them as well.
#[test]
fn they_are_in_the_format() {
    let bytes =
        file("Test-City", 1_700_000_000, &[([192, 0, 2], city("DE", 52.5, 13.4)), ([203, 0, 113], system(64_496))]);
    let reader = maxminddb::Reader::from_source(bytes).unwrap();
    reader.verify().unwrap();
    let of = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        reader.lookup(address).unwrap().decode::<serde_json::Value>().unwrap()
    };
    assert_eq!(of("192.0.2.77").unwrap()["country"]["iso_code"], "DE");
    assert_eq!(of("203.0.113.1").unwrap()["autonomous_system_number"], 64_496);
    assert_eq!(of("198.51.100.1"), None);
}
