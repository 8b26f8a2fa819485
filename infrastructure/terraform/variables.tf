variable "table_name" {
  description = "The table's name. Use it as the store's option tableName, or as SESSIONS_TABLE."
  type        = string
  default     = "mcp-gateway-sessions"
}

variable "role_name" {
  description = "The name of the role that the server runs under. The policy is attached to it."
  type        = string
}

variable "tags" {
  description = "Tags of the table and the key."
  type        = map(string)
  default     = {}
}
