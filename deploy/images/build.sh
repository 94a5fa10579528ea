#!/usr/bin/env bash
# Builds images: deploy/images/build.sh [gateway] [coordinator] [worker-cpu] [worker-cuda]; all four without a name.
#   BUILDER   docker (default), buildah or kaniko (in its own image, where /kaniko/executor is)
#   REGISTRY  what names begin with, such as registry.example.com; IMAGE is REGISTRY/darkroom/TARGET:TAG
#   TAG       default: the version in package.json
#   PUSH      1 pushes (kaniko always does)
#   NODE_DIGEST, PYTHON_DIGEST, BASE_DIGEST   sha256:… of the base images
set -euo pipefail
cd "$(dirname "$0")/../.."

builder=${BUILDER:-docker}
tag=${TAG:-$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(gateway coordinator worker-cpu worker-cuda)

pins=()
# The Dockerfile's own reference, with its digest behind it.
pin() {
  local name=$1 digest=$2
  [ -n "$digest" ] || return 0
  pins+=(--build-arg "$name=$(sed -n "s/^ARG $name=//p" deploy/images/Dockerfile)@$digest")
}
pin NODE_IMAGE "${NODE_DIGEST:-}"
pin PYTHON_IMAGE "${PYTHON_DIGEST:-}"
pin BASE_IMAGE "${BASE_DIGEST:-}"

for target in "${targets[@]}"; do
  image=${REGISTRY:+$REGISTRY/}darkroom/$target:$tag
  arguments=(--target "$target" ${pins[@]+"${pins[@]}"})
  case $builder in
    docker)
      docker build --file deploy/images/Dockerfile --tag "$image" "${arguments[@]}" .
      [ "${PUSH:-}" != 1 ] || docker push "$image"
      ;;
    buildah)
      buildah build --format docker --file deploy/images/Dockerfile --tag "$image" "${arguments[@]}" .
      [ "${PUSH:-}" != 1 ] || buildah push "$image"
      ;;
    kaniko)
      "${KANIKO:-/kaniko/executor}" --context "dir://$PWD" --dockerfile deploy/images/Dockerfile --destination "$image" "${arguments[@]}"
      ;;
    *)
      echo "BUILDER: want docker, buildah or kaniko, got '$builder'" >&2
      exit 2
      ;;
  esac
done
