//! Whether `DynamoDB` answers, and what its clock says. Every answer of AWS has a `Date`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_sdk_dynamodb::config::interceptors::BeforeDeserializationInterceptorContextRef as Answer;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::AwsInfrastructure;
use crate::error::Result;
use crate::operator::infrastructure::Reach;

impl AwsInfrastructure {
    pub(super) async fn ask_for_time(&self) -> Result<Reach> {
        let call = self.table_call("dynamodb:DescribeTable");
        let client = self.clients.dynamodb(&call).await?;
        let heard = Heard::default();
        let began = (Instant::now(), SystemTime::now());
        let request = client
            .describe_table()
            .table_name(&self.table_name)
            .customize()
            .interceptor(heard.clone());
        let reply = call.answer(request.send()).await;
        let took = began.0.elapsed();
        let clock_ahead_seconds = match heard.read() {
            Some(Date::Of(date)) => Some(ahead(date, began.1, took)),
            Some(Date::Missing) => None,
            None => {
                reply?;
                None
            }
        };
        Ok(Reach {
            round_trip_millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            clock_ahead_seconds,
        })
    }
}

/// How many seconds `date`, which has no fraction, is ahead of the middle of the request.
fn ahead(date: DateTime, began: SystemTime, took: Duration) -> i64 {
    let middle = began
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        + took / 2;
    date.secs() - i64::try_from(middle.as_secs()).unwrap_or(i64::MAX)
}

/// The `Date` of an answer.
#[derive(Clone, Copy, Debug)]
enum Date {
    Of(DateTime),
    Missing,
}

/// Notes that an answer came, whatever its status, and its `Date`.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Option<Date>>>);

impl Heard {
    fn read(&self) -> Option<Date> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Heard {
    fn name(&self) -> &'static str {
        "Heard"
    }

    fn read_after_transmit(
        &self,
        context: &Answer<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
        let date = date.map_or(Date::Missing, Date::Of);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
        Ok(())
    }
}
