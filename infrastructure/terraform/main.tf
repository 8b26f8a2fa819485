# The table, the KMS key, the IAM policy and alarms for connect-dynamodb-kms.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

resource "aws_kms_key" "sessions" {
  description              = "Wraps the data keys of the sessions. Disabling it locks every session."
  enable_key_rotation      = true
  customer_master_key_spec = "SYMMETRIC_DEFAULT"
  key_usage                = "ENCRYPT_DECRYPT"
  tags                     = var.tags

  # IAM policies decide who can use the key, as with the default key policy.
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "IamPoliciesDecide"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }
    ]
  })

  # Without the key, no session can be read.
  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_dynamodb_table" "sessions" {
  name         = var.table_name
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "sessionId"
  tags         = var.tags

  # DynamoDB refuses to delete the table until this is off.
  deletion_protection_enabled = true

  attribute {
    name = "sessionId"
    type = "S"
  }

  # The table can be restored to any second of the last 35 days.
  point_in_time_recovery {
    enabled = true
  }

  # DynamoDB removes expired sessions within a few days. Until then, the store ignores them.
  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_iam_role_policy" "sessions" {
  name = "connect-dynamodb-kms"
  role = var.role_name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "Sessions"
        Effect = "Allow"
        Action = [
          "dynamodb:GetItem",
          "dynamodb:BatchGetItem",
          "dynamodb:PutItem",
          "dynamodb:UpdateItem",
          "dynamodb:DeleteItem"
        ]
        Resource = aws_dynamodb_table.sessions.arn
      },
      {
        Sid    = "OnlyForAllIdsLengthAndClear"
        Effect = "Allow"
        Action = [
          "dynamodb:Scan",
          "dynamodb:BatchWriteItem"
        ]
        Resource = aws_dynamodb_table.sessions.arn
      },
      {
        Sid    = "OnlyForPing"
        Effect = "Allow"
        Action = [
          "dynamodb:DescribeTable"
        ]
        Resource = aws_dynamodb_table.sessions.arn
      },
      {
        Sid    = "DataKeys"
        Effect = "Allow"
        Action = [
          "kms:GenerateDataKey",
          "kms:Decrypt"
        ]
        Resource = aws_kms_key.sessions.arn
      }
    ]
  })
}
