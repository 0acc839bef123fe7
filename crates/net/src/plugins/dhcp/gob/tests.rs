use super::encode::{put_int, put_uint};
use super::*;

#[test]
fn numbers_are_written_as_the_documentation_of_gob_shows() {
    let uint = |number| {
        let mut bytes = Vec::new();
        put_uint(&mut bytes, number);
        bytes
    };
    let int = |number| {
        let mut bytes = Vec::new();
        put_int(&mut bytes, number);
        bytes
    };
    assert_eq!((uint(7), uint(256)), (vec![7], vec![0xfe, 1, 0]));
    assert_eq!((int(-129), int(65), int(-65)), (vec![0xfe, 1, 1], vec![0xff, 0x82], vec![0xff, 0x81]));
}

#[test]
fn the_example_of_the_documentation_is_read() {
    // type Point struct { X, Y int }; Point{22, 33}
    let bytes = [
        0x1f, 0xff, 0x81, 0x03, 0x01, 0x01, 0x05, 0x50, 0x6f, 0x69, 0x6e, 0x74, 0x01, 0xff, 0x82, 0x00, 0x01, 0x02,
        0x01, 0x01, 0x58, 0x01, 0x04, 0x00, 0x01, 0x01, 0x59, 0x01, 0x04, 0x00, 0x00, 0x00, 0x07, 0xff, 0x82, 0x01,
        0x2c, 0x01, 0x42, 0x00,
    ];
    let mut decoder = Decoder::new(&bytes[..]);

    let point = decoder.read().unwrap().unwrap();

    assert_eq!(point.get("X"), Some(&Value::Int(22)));
    assert_eq!(point.get("Y"), Some(&Value::Int(33)));
    assert_eq!(decoder.read().unwrap(), None);
    let mut written = Vec::new();
    Encoder::new(&mut written).write(&Value::of("Point", vec![("X", Value::Int(22)), ("Y", Value::Int(33))])).unwrap();
    assert_eq!(written, bytes);
}

#[test]
fn slices_of_structs_come_back_and_garbage_ends_with_an_error() {
    let item = |text: &str, number| {
        Value::of("Item", vec![("Name", Value::text(text)), ("Bits", Value::Bytes(vec![number; 3]))])
    };
    let list = Value::List(vec![item("a", 1), item("", 2)], Box::new(item("", 0)));
    let mut written = Vec::new();
    let mut encoder = Encoder::new(&mut written);
    for _ in 0..2 {
        encoder.write(&Value::of("All", vec![("None", Value::Uint(0)), ("Items", list.clone())])).unwrap();
    }

    let mut decoder = Decoder::new(&written[..]);
    for _ in 0..2 {
        let all = decoder.read().unwrap().unwrap();
        assert_eq!(all.list_at("Items").len(), 2);
        assert_eq!(all.list_at("Items")[0].text_at("Name"), "a");
        assert_eq!(all.list_at("Items")[1].bytes_at("Bits"), [2, 2, 2]);
    }
    for cut in 1..written.len() {
        let mut decoder = Decoder::new(&written[..cut]);
        while let Ok(Some(_)) = decoder.read() {}
    }
    for bytes in [&[0xff, 0xff][..], &[0xf8, 1, 1, 1, 1, 1, 1, 1, 1], &[0x80], &[2, 0x90, 0], &[1, 0x80]] {
        assert!(Decoder::new(bytes).read().is_err(), "{bytes:?}");
    }
}
