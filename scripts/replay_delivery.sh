#!/usr/bin/env bash
# Asks GitHub to deliver a webhook again: GitHub never does so by itself, and keeps deliveries for three days.
#
#   scripts/replay_delivery.sh --app ID --key FILE.pem [--list | --failed | --delivery N]
#   scripts/replay_delivery.sh --repository owner/name --hook N [--list | --failed | --delivery N]
#
#   --app, --key         the App's number and its private key: deliveries of the App's webhook
#   --repository, --hook a webhook of one repository, with a token in GITHUB_TOKEN (repository webhooks: write)
#   --list               the last 100 deliveries (default)
#   --failed             deliver again what did not get a 2xx answer since, each delivery once
#   --delivery N         deliver this one again, by its number in the list or by its X-GitHub-Delivery
#   --api URL            GitHub's API (default https://api.github.com; https://HOST/api/v3 for Enterprise Server)
#
# What is delivered again carries the same delivery id; CodeHealer looks at the branch as it is now, so that doing it twice is harmless. Needs
# curl, jq, and openssl with --app. Keys and tokens stand on no command line.
set -euo pipefail

fail() { echo "replay_delivery: $1" >&2; exit "${2:-2}"; }
app="" key="" repository="" hook="" action=list wanted="" api=https://api.github.com
while [[ $# -gt 0 ]]; do
  case $1 in
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --list) action=list; shift ;;
    --failed) action=failed; shift ;;
    --app | --key | --repository | --hook | --delivery | --api)
      [[ $# -ge 2 ]] || fail "$1 wants a value; see --help"
      case $1 in
        --app) app=$2 ;;
        --key) key=$2 ;;
        --repository) repository=$2 ;;
        --hook) hook=$2 ;;
        --delivery) action=one wanted=$2 ;;
        --api) api=${2%/} ;;
      esac
      shift 2
      ;;
    *) fail "$1 is not known; see --help" ;;
  esac
done
for tool in curl jq; do command -v "$tool" >/dev/null || fail "$tool is missing: install it" 1; done
[[ $api =~ ^https:// || $api =~ ^http://(127\.0\.0\.1|localhost)(:[0-9]+)?(/|$) ]] || fail "--api: https, since a token is sent to it"

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# A token of the App itself, good for nine minutes.
app_token() {
  local now header claims
  now=$(date +%s)
  header=$(printf '{"alg":"RS256","typ":"JWT"}' | base64url)
  claims=$(printf '{"iat":%d,"exp":%d,"iss":"%s"}' $((now - 60)) $((now + 540)) "$app" | base64url)
  printf '%s.%s.%s' "$header" "$claims" "$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -sign "$key" -binary | base64url)"
}

if [[ -n $app ]]; then
  [[ -z $repository$hook ]] || fail "--app and --repository exclude each other"
  [[ $app =~ ^[0-9]+$ ]] || fail "--app: the App's number, as its settings show it"
  command -v openssl >/dev/null || fail "openssl is missing: install it" 1
  [[ -r $key ]] || fail "--key: the file with the App's private key"
  openssl pkey -in "$key" -noout 2>/dev/null || fail "$key is no private key (PEM)"
  token=$(app_token)
  deliveries=$api/app/hook/deliveries
else
  [[ $repository =~ ^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$ && $hook =~ ^[0-9]+$ ]] || fail "say --app and --key, or --repository and --hook; see --help"
  token=${GITHUB_TOKEN:-}
  [[ -n $token ]] || fail "GITHUB_TOKEN is not set: a token that may write the repository's webhooks"
  deliveries=$api/repos/$repository/hooks/$hook/deliveries
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The token comes from a file that only we can read.
(umask 077 && printf 'header = "Authorization: Bearer %s"\n' "$token" >"$scratch/token")
unset token

# call METHOD URL: the answer in $scratch/answer.
call() {
  local status
  status=$(curl --silent --show-error --max-time 30 --config "$scratch/token" --request "$1" --output "$scratch/answer" --write-out '%{http_code}' \
    --header 'Accept: application/vnd.github+json' --header 'X-GitHub-Api-Version: 2022-11-28' --header 'User-Agent: codehealer' "$2") ||
    fail "$api cannot be reached" 3
  case $status in
    2??) ;;
    401) fail "GitHub does not know us: is the key the App's, the token still good, this machine's clock right?" 1 ;;
    403) fail "GitHub does not let us: $(jq -r '.message? // empty' "$scratch/answer")" 1 ;;
    404) fail "GitHub knows no such webhook or delivery, or hides it from us" 1 ;;
    *) fail "GitHub answered $status: $(jq -r '.message? // empty' "$scratch/answer" 2>/dev/null)" 1 ;;
  esac
}

again() {
  call POST "$deliveries/$1/attempts"
  echo "delivered again: $1"
}

call GET "$deliveries?per_page=100"
jq -e 'type == "array"' "$scratch/answer" >/dev/null || fail "GitHub's answer is no list of deliveries" 1
cp "$scratch/answer" "$scratch/list"
case $action in
  list)
    jq -r '.[] | [.delivered_at, .id, .guid, .event, .status_code, .status] | @tsv' "$scratch/list"
    ;;
  one)
    [[ $wanted =~ ^[0-9A-Fa-f-]+$ ]] || fail "--delivery: a number, or an X-GitHub-Delivery"
    # Of several attempts at one delivery the last.
    number=$(jq -r --arg wanted "$wanted" '[.[] | select((.id | tostring) == $wanted or .guid == $wanted)] | first | .id // empty' "$scratch/list")
    [[ -n $number || ! $wanted =~ ^[0-9]+$ ]] || number=$wanted
    [[ -n $number ]] || fail "$wanted is not among the last 100 deliveries" 1
    again "$number"
    ;;
  failed)
    # The newest attempt of each delivery counts.
    mapfile -t failed < <(jq -r 'group_by(.guid) | map(max_by(.delivered_at)) | .[] | select(.status_code < 200 or .status_code > 299) | .id' "$scratch/list")
    for number in "${failed[@]}"; do
      again "$number"
      sleep 1
    done
    echo "${#failed[@]} of the last $(jq length "$scratch/list") attempts had failed"
    ;;
esac
