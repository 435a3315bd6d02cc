#!/usr/bin/env bash
# Makes a place for Terraform's state that a team shares: a bucket in S3 with versions, encryption and a lock, and writes
# terraform/backend.tf, which points to it. Doing it twice changes nothing.
#
#   scripts/bootstrap_terraform.sh --bucket NAME --region REGION [--key PATH]
#
#   --bucket   name of the bucket, unique in the world: acme-terraform-state
#   --region   AWS region of the bucket
#   --key      name of the state in it (default: codehealer/terraform.tfstate)
#
# Needs the AWS command line with credentials that may create buckets. An existing state in terraform/ is taken along by
# `terraform -chdir=terraform init -migrate-state`, which is what to run next.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "bootstrap_terraform: $1" >&2; exit "${2:-2}"; }
bucket="" region="" key=codehealer/terraform.tfstate
while [[ $# -gt 0 ]]; do
  case $1 in
    --bucket) bucket=${2:-}; shift 2 || fail "--bucket wants a name" ;;
    --region) region=${2:-}; shift 2 || fail "--region wants a region" ;;
    --key) key=${2:-}; shift 2 || fail "--key wants a path" ;;
    -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "$1 is not known; see --help" ;;
  esac
done
[[ $bucket =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$ ]] || fail "--bucket: 3 to 63 lower-case letters, digits, dots and dashes; see --help"
[[ $region =~ ^[a-z]{2}(-[a-z]+)+-[0-9]$ ]] || fail "--region: the code of a region, such as eu-central-1; see --help"
[[ $key =~ ^[A-Za-z0-9._/-]+$ ]] || fail "--key: letters, digits, dots, dashes and slashes"
command -v aws >/dev/null || fail "the AWS command line is missing: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html" 1
aws sts get-caller-identity --region "$region" >/dev/null || fail "AWS does not know you: aws configure, or aws sso login" 1

s3() { aws s3api "$@" --region "$region"; }
if s3 head-bucket --bucket "$bucket" >/dev/null 2>&1; then
  echo "the bucket $bucket is there"
else
  # us-east-1 is the one region that must not be named here.
  if [[ $region = us-east-1 ]]; then
    s3 create-bucket --bucket "$bucket" >/dev/null
  else
    s3 create-bucket --bucket "$bucket" --create-bucket-configuration "LocationConstraint=$region" >/dev/null
  fi
  echo "the bucket $bucket was created"
fi
s3 put-public-access-block --bucket "$bucket" --public-access-block-configuration \
  BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true
s3 put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
s3 put-bucket-encryption --bucket "$bucket" --server-side-encryption-configuration \
  '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"aws:kms"},"BucketKeyEnabled":true}]}'
partition=$(aws sts get-caller-identity --region "$region" --query Arn --output text | cut -d: -f2)
s3 put-bucket-policy --bucket "$bucket" --policy "$(printf '{"Version":"2012-10-17","Statement":[{"Sid":"OnlyOverTls","Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:%s:s3:::%s","arn:%s:s3:::%s/*"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}' "$partition" "$bucket" "$partition" "$bucket")"

cat >terraform/backend.tf <<HCL
# Written by scripts/bootstrap_terraform.sh.
terraform {
  backend "s3" {
    bucket       = "$bucket"
    key          = "$key"
    region       = "$region"
    encrypt      = true
    use_lockfile = true
  }
}
HCL
echo "terraform/backend.tf was written; next: terraform -chdir=terraform init -migrate-state"
