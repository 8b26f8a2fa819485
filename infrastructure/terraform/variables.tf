variable "table_name" {
  description = "The table's name. Use it as the store's option tableName, or as SESSIONS_TABLE."
  type        = string
  default     = "mcp-gateway-sessions"
}

variable "role_name" {
  description = "The name of the role that the server runs under. The policy is attached to it."
  type        = string
}

variable "alarm_topic_arn" {
  description = "The ARN of the SNS topic that alarms notify. Without it, there are no alarms."
  type        = string
  default     = null
}

variable "log_group_name" {
  description = "The log group that the server's log goes to, for the alarm on failures of KMS. Without it, there is none."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the table, the key and the alarms."
  type        = map(string)
  default     = {}
}
