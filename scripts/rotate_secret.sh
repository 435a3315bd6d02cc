#!/usr/bin/env bash
# Gives a secret another value, without a moment in which the old one is refused already and the new one not accepted yet.
#
#   scripts/rotate_secret.sh --secret NAME [--value-file FILE] [--region REGION] [--endpoint URL] [--yes]
#   scripts/rotate_secret.sh --secret NAME --finish
#
#   --secret NAME      codehealer/webhook, codehealer/github-app, codehealer/slack …
#   --value-file FILE  the new value; without it a new webhook secret is made up (64 hexadecimal digits), and shown nowhere but in the file
#                      ./NAME-new.txt that it is written to
#   --finish           the old value must not be accepted any longer: takes the label AWSPREVIOUS away from it
#   --region REGION    default: that of your AWS configuration
#   --endpoint URL     an emulator in place of AWS
#   --yes              do not ask
#
# The new value becomes AWSCURRENT and the old one AWSPREVIOUS. The functions accept webhooks that either of them signed, and read
# secrets anew at least every five minutes, so the order is: rotate here, tell GitHub, and, when no delivery is signed with the old one
# any more, --finish. A key or token that others make (GitHub App, Slack) is made there first, rotated here, and withdrawn there at the end.
set -euo pipefail

fail() { echo "rotate_secret: $1" >&2; exit "${2:-2}"; }
secret="" file="" finish=no yes=no options=()
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) sed -n '2,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --finish) finish=yes; shift ;;
    --yes) yes=yes; shift ;;
    --secret | --value-file | --region | --endpoint)
      [[ $# -ge 2 ]] || fail "$1 wants a value; see --help"
      case $1 in
        --secret) secret=$2 ;;
        --value-file) file=$2 ;;
        --region) options+=(--region "$2") ;;
        --endpoint) options+=(--endpoint-url "$2") ;;
      esac
      shift 2
      ;;
    *) fail "$1 is not known; see --help" ;;
  esac
done
[[ $secret =~ ^[A-Za-z0-9/_+=.@-]+$ ]] || fail "--secret: the name of a secret, such as codehealer/webhook"
command -v aws >/dev/null || fail "the AWS command line is missing: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html" 1

manager() { aws secretsmanager "$@" "${options[@]}"; }
confirm() {
  [[ $yes = no ]] || return 0
  read -r -p "$1 [y/N] " answer || true
  [[ ${answer:-} =~ ^[Yy]$ ]] || fail "nothing was changed" 1
}
version() { manager describe-secret --secret-id "$secret" --query "VersionIdsToStages" --output json | python3 -c '
import json, sys
print(next((id for id, stages in (json.load(sys.stdin) or {}).items() if sys.argv[1] in stages), ""))' "$1"; }

manager describe-secret --secret-id "$secret" --query Name --output text >/dev/null || fail "the secret $secret cannot be looked at: is its name right, and the region?" 1
if [[ $finish = yes ]]; then
  [[ -z $file ]] || fail "--finish takes no value"
  previous=$(version AWSPREVIOUS)
  [[ -n $previous ]] || { echo "$secret has no value of before: nothing to do"; exit 0; }
  confirm "Refuse the old value of $secret from now on?"
  manager update-secret-version-stage --secret-id "$secret" --version-stage AWSPREVIOUS --remove-from-version-id "$previous" >/dev/null
  echo "the old value of $secret is refused within five minutes"
  exit 0
fi

# A second rotation would shut out what the first one left: GitHub may still sign with it.
[[ $secret != */webhook || -z $(version AWSPREVIOUS) ]] || fail "the last rotation of $secret is not finished: scripts/rotate_secret.sh --secret $secret --finish" 1

written=""
if [[ -z $file ]]; then
  [[ $secret = */webhook ]] || fail "a new value of $secret is made by GitHub or Slack: give it with --value-file"
  command -v openssl >/dev/null || fail "openssl is missing: install it" 1
  written=$PWD/$(basename "$secret")-new.txt
  [[ ! -e $written ]] || fail "$written is there already: it may be the value of an unfinished rotation" 1
  (umask 077 && openssl rand -hex 32 >"$written")
  file=$written
fi
[[ -s $file ]] || fail "$file is not there, or empty"
confirm "Give $secret a new value?"
manager put-secret-value --secret-id "$secret" --secret-string "file://$file" --query VersionId --output text >/dev/null
[[ -n $(version AWSCURRENT) ]] || fail "the new value was stored, but is not current: look at the secret's versions" 1
echo "$secret has a new value; the old one is accepted too"
case $secret in
  */webhook)
    echo "next: enter it at GitHub${written:+ (it is in $written; delete the file then)}, look whether deliveries get 202, and"
    echo "      scripts/rotate_secret.sh --secret $secret --finish"
    ;;
  *) echo "next: when the functions have read it (five minutes), withdraw the old one where it was made" ;;
esac
