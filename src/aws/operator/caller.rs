//! Whose credentials they are.

use super::AwsInfrastructure;
use crate::error::Result;
use crate::operator::infrastructure::Caller;

impl AwsInfrastructure {
    pub(super) async fn ask_who(&self) -> Result<Caller> {
        let call = self.table_call("sts:GetCallerIdentity");
        let request = self.clients.sts(&call).await?.get_caller_identity();
        let reply = call.answer(request.send()).await?;
        let (Some(account), Some(arn)) = (reply.account, reply.arn) else {
            return Err(call.wrong_answer("it names nobody"));
        };
        Ok(Caller { account, arn })
    }
}
