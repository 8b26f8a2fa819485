output "kms_key_arn" {
  description = "For the store's option kmsKeyArn, or KMS_KEY_ARN."
  value       = aws_kms_key.sessions.arn
}

output "table_name" {
  description = "For the store's option tableName, or SESSIONS_TABLE."
  value       = aws_dynamodb_table.sessions.name
}
