#!/usr/bin/env bash
# Builds images: deploy/images/build.sh [gateway] [coordinator] [worker-cpu] [worker-cuda]; all four without a name.
#   BUILDER   docker (default), buildah or kaniko (in its own image, where /kaniko/executor is)
#   REGISTRY  what names begin with, such as registry.example.com; IMAGE is REGISTRY/darkroom/TARGET:TAG
#   TAG       default: the version in package.json
#   PUSH      1 pushes (kaniko always does)
set -euo pipefail
cd "$(dirname "$0")/../.."

builder=${BUILDER:-docker}
tag=${TAG:-$(sed -n 's/^  "version": "\(.*\)",$/\1/p' package.json)}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(gateway coordinator worker-cpu worker-cuda)

for target in "${targets[@]}"; do
  image=${REGISTRY:+$REGISTRY/}darkroom/$target:$tag
  case $builder in
    docker)
      docker build --file deploy/images/Dockerfile --tag "$image" --target "$target" .
      [ "${PUSH:-}" != 1 ] || docker push "$image"
      ;;
    buildah)
      buildah build --format docker --file deploy/images/Dockerfile --tag "$image" --target "$target" .
      [ "${PUSH:-}" != 1 ] || buildah push "$image"
      ;;
    kaniko)
      "${KANIKO:-/kaniko/executor}" --context "dir://$PWD" --dockerfile deploy/images/Dockerfile --destination "$image" --target "$target"
      ;;
    *)
      echo "BUILDER: want docker, buildah or kaniko, got '$builder'" >&2
      exit 2
      ;;
  esac
done
