# The model: a real-time endpoint with a GPU, where it is asked for. Serverless inference has no GPU and at most 6 GB.
#
# It scales to zero: an inference component has no copy while nobody asks, and the endpoint no instance without a copy. The first
# question afterwards is refused, wakes it up, and is asked again by a retry some minutes later. Endpoint and component are made by
# CloudFormation, since the AWS provider demands a model in each variant, which an endpoint with components must not have.

locals {
  model_name = "${var.name}-model"
  variant    = "main"
  model_role = "arn:${local.partition}:iam::${local.account}:role/${local.model_name}"

  model_stack = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "The model endpoint of ${var.name}, scaled to zero while idle"
    Resources = {
      Config = {
        Type = "AWS::SageMaker::EndpointConfig"
        # No key: instances with a GPU have disks of their own, which their hardware encrypts, and refuse one.
        Properties = {
          ExecutionRoleArn = local.model_role
          ProductionVariants = [{
            VariantName          = local.variant
            InstanceType         = var.model.instance_type
            InitialInstanceCount = 1
            ManagedInstanceScaling = {
              Status           = "ENABLED"
              MinInstanceCount = 0
              MaxInstanceCount = var.model.instances
            }
            RoutingConfig                               = { RoutingStrategy = "LEAST_OUTSTANDING_REQUESTS" }
            ModelDataDownloadTimeoutInSeconds           = 1200
            ContainerStartupHealthCheckTimeoutInSeconds = 1200
          }]
        }
      }
      Endpoint = {
        Type = "AWS::SageMaker::Endpoint"
        Properties = {
          EndpointName       = local.model_name
          EndpointConfigName = { "Fn::GetAtt" = ["Config", "EndpointConfigName"] }
        }
      }
      Component = {
        Type      = "AWS::SageMaker::InferenceComponent"
        DependsOn = "Endpoint"
        Properties = {
          InferenceComponentName = local.model_name
          EndpointName           = local.model_name
          VariantName            = local.variant
          RuntimeConfig          = { CopyCount = 1 }
          Specification = {
            ModelName = local.model_name
            ComputeResourceRequirements = {
              NumberOfAcceleratorDevicesRequired = 1
              MinMemoryRequiredInMb              = var.model.memory
            }
          }
        }
      }
    }
  })
}

resource "aws_sagemaker_model" "this" {
  count              = var.model.create ? 1 : 0
  name               = local.model_name
  execution_role_arn = one(aws_iam_role.model[*].arn)
  # The model has no way out: weights come from S3 through SageMaker itself.
  enable_network_isolation = var.model.data != null

  primary_container {
    image       = var.model.image
    environment = var.model.environment

    dynamic "model_data_source" {
      for_each = var.model.data == null ? [] : [var.model.data]
      content {
        s3_data_source {
          s3_uri           = model_data_source.value
          s3_data_type     = "S3Prefix"
          compression_type = "None"
        }
      }
    }
  }
}

resource "aws_cloudformation_stack" "model" {
  # checkov:skip=CKV_AWS_124:the alarms of observability.tf watch the endpoint; a stack that fails stops terraform apply, which says so
  count         = var.model.create ? 1 : 0
  name          = local.model_name
  template_body = local.model_stack
  depends_on    = [aws_sagemaker_model.this, aws_iam_role_policy.model]

  timeouts {
    create = "60m"
    update = "60m"
    delete = "60m"
  }
}

resource "aws_appautoscaling_target" "model" {
  count              = var.model.create ? 1 : 0
  service_namespace  = "sagemaker"
  resource_id        = "inference-component/${local.model_name}"
  scalable_dimension = "sagemaker:inference-component:DesiredCopyCount"
  min_capacity       = 0
  max_capacity       = var.model.instances
  depends_on         = [aws_cloudformation_stack.model]
}

# From one copy upwards, and down to zero.
resource "aws_appautoscaling_policy" "model_load" {
  count              = var.model.create ? 1 : 0
  name               = "${local.model_name}-load"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = one(aws_appautoscaling_target.model[*].service_namespace)
  resource_id        = one(aws_appautoscaling_target.model[*].resource_id)
  scalable_dimension = one(aws_appautoscaling_target.model[*].scalable_dimension)

  target_tracking_scaling_policy_configuration {
    target_value       = 5
    scale_in_cooldown  = 60 * var.model.idle_minutes
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
    }
  }
}

# From zero to one, when a question was refused because there is no copy.
resource "aws_appautoscaling_policy" "model_wake" {
  count              = var.model.create ? 1 : 0
  name               = "${local.model_name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = one(aws_appautoscaling_target.model[*].service_namespace)
  resource_id        = one(aws_appautoscaling_target.model[*].resource_id)
  scalable_dimension = one(aws_appautoscaling_target.model[*].scalable_dimension)

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 60

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "model_wake" {
  count               = var.model.create ? 1 : 0
  alarm_name          = "${local.model_name}-wake"
  alarm_description   = "The model was asked while it had no copy: it is started. Nobody needs to do anything."
  namespace           = "AWS/SageMaker"
  metric_name         = "NoCapacityInvocationFailures"
  dimensions          = { InferenceComponentName = local.model_name }
  statistic           = "Maximum"
  period              = 30
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "missing"
  alarm_actions       = aws_appautoscaling_policy.model_wake[*].arn
}

# What SageMaker may do in the model's name: fetch its image and its weights, and write its logs.

resource "aws_iam_role" "model" {
  count              = var.model.create ? 1 : 0
  name               = local.model_name
  description        = "Fetches the image and the weights of one model"
  assume_role_policy = local.trust["sagemaker"]
}

resource "aws_iam_role_policy" "model" {
  count = var.model.create ? 1 : 0
  name  = "model"
  role  = one(aws_iam_role.model[*].name)
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # AWS knows no names for this one.
          Sid      = "LogInAtTheRegistry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = "*"
        },
        {
          Sid      = "WriteItsLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
          Resource = "arn:${local.partition}:logs:${local.scope}:log-group:/aws/sagemaker/*"
        },
        {
          Sid       = "WriteItsMetrics"
          Effect    = "Allow"
          Action    = ["cloudwatch:PutMetricData"]
          Resource  = "*"
          Condition = { StringLike = { "cloudwatch:namespace" = ["AWS/SageMaker", "/aws/sagemaker/*"] } }
        },
      ],
      local.image == null ? [] : [{
        Sid      = "FetchTheImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        Resource = "arn:${local.partition}:ecr:${local.image.region}:${local.image.account}:repository/${local.image.repository}"
      }],
      [for statement in [
        {
          Sid      = "ReadTheWeights"
          Effect   = "Allow"
          Action   = ["s3:GetObject"]
          Resource = "arn:${local.partition}:s3:::${local.bucket.name}/${local.bucket.folder}*"
        },
        {
          Sid       = "ListTheWeights"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = "arn:${local.partition}:s3:::${local.bucket.name}"
          Condition = { StringLike = { "s3:prefix" = "${local.bucket.folder}*" } }
        },
      ] : statement if var.model.data != null],
    )
  })
}

locals {
  # 763104351884.dkr.ecr.eu-central-1.amazonaws.com/djl-inference:0.33.0-lmi… taken apart.
  image  = try(regex("^(?P<account>[0-9]{12})\\.dkr\\.ecr\\.(?P<region>[a-z0-9-]+)\\.amazonaws\\.com(?:\\.cn)?/(?P<repository>[a-z0-9._/-]+)[:@]", var.model.image), null)
  bucket = try(regex("^s3://(?P<name>[^/]+)/(?P<folder>.+)$", var.model.data), { name = "none", folder = "none" })
}
