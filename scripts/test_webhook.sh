#!/usr/bin/env bash
# Signs a webhook as GitHub does and sends it.
#
#   scripts/test_webhook.sh --url URL --secret-file FILE [options]
#
#   --url URL            address of the webhook, with /webhook
#   --secret-file FILE   file with the webhook secret (- reads it from standard input); or set CODEHEALER_WEBHOOK_SECRET
#   --event NAME         ping (default), push, or another event with --body
#   --repository NAME    owner/name (default acme/shop)
#   --repository-id N    GitHub's number of the repository (default 1)
#   --ref REF            pushed branch (default refs/heads/develop)
#   --before SHA         commit before the push (default: 40 zeros, a new branch)
#   --after SHA          commit after the push (default: the one of this checkout)
#   --body FILE          send this file as it is, instead of a made-up body
#   --expect STATUS      end with 1 unless this is answered (default: 202 for a push, 200 else)
#
# It prints the status and the answer. The secret stands on no command line and is not printed. Needs bash, curl and Python 3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() { echo "test_webhook: $1" >&2; exit "${2:-2}"; }
url="" secret_file="" event=ping repository=acme/shop id=1 ref=refs/heads/develop after="" body_file="" expect=""
before=0000000000000000000000000000000000000000
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) sed -n '2,18s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --url | --secret-file | --event | --repository | --repository-id | --ref | --before | --after | --body | --expect)
      [[ $# -ge 2 ]] || fail "$1 wants a value; see --help"
      case $1 in
        --url) url=$2 ;;
        --secret-file) secret_file=$2 ;;
        --event) event=$2 ;;
        --repository) repository=$2 ;;
        --repository-id) id=$2 ;;
        --ref) ref=$2 ;;
        --before) before=$2 ;;
        --after) after=$2 ;;
        --body) body_file=$2 ;;
        --expect) expect=$2 ;;
      esac
      shift 2
      ;;
    *) fail "$1 is not known; see --help" ;;
  esac
done
for tool in curl python3; do command -v "$tool" >/dev/null || fail "$tool is missing: install it" 1; done
[[ $url =~ ^https?://[^[:space:]]+$ ]] || fail "--url: say where the webhook is, such as https://…/live/webhook"
[[ $repository =~ ^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$ ]] || fail "--repository: owner/name"
[[ $id =~ ^[0-9]+$ ]] || fail "--repository-id: a number"
[[ $event =~ ^[a-z_]+$ ]] || fail "--event: a name such as push"
[[ $ref =~ ^refs/[A-Za-z0-9._/-]+$ ]] || fail "--ref: a full name, such as refs/heads/develop"

case $secret_file in
  "") secret=${CODEHEALER_WEBHOOK_SECRET:-} ;;
  -) secret=$(cat) ;;
  *) secret=$(cat -- "$secret_file") || fail "$secret_file cannot be read" ;;
esac
[[ -n $secret ]] || fail "there is no secret: --secret-file FILE, or set CODEHEALER_WEBHOOK_SECRET"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
body=$scratch/body.json
if [[ -n $body_file ]]; then
  cp -- "$body_file" "$body" || fail "$body_file cannot be read"
else
  case $event in
    ping) printf '{"zen":"Keep it logically awesome.","hook_id":1,"repository":{"id":%s,"full_name":"%s"}}' "$id" "$repository" >"$body" ;;
    push)
      [[ -n $after ]] || after=$(git -C "$here" rev-parse HEAD 2>/dev/null) || fail "--after: the commit that was pushed"
      for sha in "$before" "$after"; do
        [[ $sha =~ ^[0-9a-f]{40}$ ]] || fail "$sha is no commit id: 40 hexadecimal digits"
      done
      printf '{"ref":"%s","before":"%s","after":"%s","repository":{"id":%s,"full_name":"%s"},"pusher":{"name":"test_webhook"},"commits":[]}' \
        "$ref" "$before" "$after" "$id" "$repository" >"$body"
      ;;
    *) fail "--event $event has no made-up body: give one with --body FILE" ;;
  esac
fi
[[ -n $expect ]] || { expect=200; [[ $event != push ]] || expect=202; }

# Not by `openssl dgst -hmac`: other users could read the key on its command line.
digest=$(CODEHEALER_KEY=$secret python3 -c '
import hashlib, hmac, os, sys
print(hmac.new(os.environb[b"CODEHEALER_KEY"], open(sys.argv[1], "rb").read(), hashlib.sha256).hexdigest())' "$body")
unset secret
[[ $digest =~ ^[0-9a-f]{64}$ ]] || fail "the signature could not be computed" 1

delivery=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n' | sed -E 's/(.{8})(.{4})(.{4})(.{4})(.{12})/\1-\2-\3-\4-\5/')
status=$(curl --silent --show-error --max-time 15 --output "$scratch/answer" --write-out '%{http_code}' \
  --header 'Content-Type: application/json' --header 'User-Agent: GitHub-Hookshot/test_webhook' \
  --header "X-GitHub-Event: $event" --header "X-GitHub-Delivery: $delivery" --header "X-Hub-Signature-256: sha256=$digest" \
  --data-binary "@$body" "$url") || fail "$url cannot be reached" 3
echo "$event $delivery: $status $(head -c 2000 "$scratch/answer")"
if [[ $status != "$expect" ]]; then
  case $status in
    400) hint="the API got no signature, or the body broke off" ;;
    401) hint="the secret is not the one that the receiver knows" ;;
    403) hint="API Gateway has no such route, or webhook_sources leaves this machine out: end the address with /webhook" ;;
    404) hint="the repository is not watched: name it in repositories" ;;
    422) hint="this event is not handled" ;;
    502 | 503) hint="look at the receiver's log" ;;
    *) hint="see docs/OPERATING.md" ;;
  esac
  fail "expected $expect: $hint" 1
fi
