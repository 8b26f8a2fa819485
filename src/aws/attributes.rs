//! Converts attributes between the SDK's types and the store's.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::record::{Attribute, Item, Name};

pub(super) fn item(attributes: HashMap<String, AttributeValue>) -> Item {
    attributes
        .into_iter()
        .map(|(name, value)| {
            let attribute = match value {
                AttributeValue::S(text) => Attribute::S(text),
                AttributeValue::N(number) => Attribute::N(number),
                AttributeValue::B(bytes) => Attribute::B(bytes.into_inner()),
                _ => Attribute::Other,
            };
            (name.into(), attribute)
        })
        .collect()
}

pub(super) fn attribute_value(
    (name, attribute): (Name, Attribute),
) -> Option<(String, AttributeValue)> {
    let value = match attribute {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(number) => AttributeValue::N(number),
        Attribute::B(bytes) => AttributeValue::B(Blob::new(bytes)),
        Attribute::Other => return None,
    };
    Some((name.into(), value))
}
