# Alarms, if var.alarm_topic_arn names a topic. DynamoDB publishes these metrics when they are not zero, so missing data
# is good news.

locals {
  alarms     = var.alarm_topic_arn == null ? 0 : 1
  log_alarms = var.alarm_topic_arn == null || var.log_group_name == null ? 0 : 1
}

resource "aws_cloudwatch_metric_alarm" "throttled" {
  count               = local.alarms
  alarm_name          = "${var.table_name}-throttled"
  alarm_description   = "DynamoDB throttles requests for sessions. Look for a hot session, or raise the table's maximum throughput."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags

  metric_query {
    id          = "throttled"
    expression  = "SELECT SUM(ThrottledRequests) FROM SCHEMA(\"AWS/DynamoDB\", Operation, TableName) WHERE TableName = '${aws_dynamodb_table.sessions.name}'"
    period      = 60
    return_data = true
  }
}

resource "aws_cloudwatch_metric_alarm" "system_errors" {
  count               = local.alarms
  alarm_name          = "${var.table_name}-system-errors"
  alarm_description   = "DynamoDB fails with errors of its own (status 500). The SDK repeats such requests; look at the AWS Health Dashboard."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags

  metric_query {
    id          = "failed"
    expression  = "SELECT SUM(SystemErrors) FROM SCHEMA(\"AWS/DynamoDB\", Operation, TableName) WHERE TableName = '${aws_dynamodb_table.sessions.name}'"
    period      = 60
    return_data = true
  }
}

# DynamoDB counts these for the whole account and region, not by table.
resource "aws_cloudwatch_metric_alarm" "user_errors" {
  count               = local.alarms
  alarm_name          = "${var.table_name}-user-errors"
  alarm_description   = "DynamoDB refuses requests of this account and region, such as those without permission. Run npx connect-dynamodb-kms doctor."
  namespace           = "AWS/DynamoDB"
  metric_name         = "UserErrors"
  statistic           = "Sum"
  period              = 60
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 10
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}

# KMS has no metric of failures. The store logs one line a minute for each operation and code.
resource "aws_cloudwatch_log_metric_filter" "kms_failures" {
  count          = local.log_alarms
  name           = "${var.table_name}-kms-failures"
  log_group_name = var.log_group_name
  pattern        = "?ERR_KMS_UNAVAILABLE ?ERR_KMS_THROTTLED ?ERR_KMS_KEY_UNUSABLE"

  metric_transformation {
    namespace = "connect-dynamodb-kms"
    name      = "KmsFailures-${aws_dynamodb_table.sessions.name}"
    value     = "1"
  }
}

resource "aws_cloudwatch_metric_alarm" "kms" {
  count               = local.log_alarms
  alarm_name          = "${var.table_name}-kms"
  alarm_description   = "KMS fails, throttles, or the key cannot be used. Sessions whose data key is cached go on; others fail."
  namespace           = "connect-dynamodb-kms"
  metric_name         = "KmsFailures-${aws_dynamodb_table.sessions.name}"
  statistic           = "Sum"
  period              = 60
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
  tags                = var.tags
}
