# The command line of napari-ies: docs/containers.md. The viewer is not in it.
#   docker build --tag napari-ies .
#   docker build --tag napari-ies:cuda --build-arg COMPUTE=cu130 .
# apptainer.def runs the same commands; a test compares them.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
# As PyTorch's index calls its wheels: cpu, or those of a version of CUDA.
ARG COMPUTE=cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl
# Compiled modules are known by what they hold, not by when they were written: equal builds are equal.
ENV SOURCE_DATE_EPOCH=1767225600
WORKDIR /build
COPY constraints.txt ./
# PyTorch alone from its own index, all else, and what it needs, from PyPI.
RUN python -m venv /opt/napari-ies \
    && /opt/napari-ies/bin/pip install --no-cache-dir --no-deps --index-url "${TORCH_INDEX}/${COMPUTE}" --constraint constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/napari-ies/bin/pip install --no-cache-dir --constraint constraints.txt ".[cluster,nnunet,qa]"

FROM ${BASE}
ARG COMPUTE=cpu
# Triton compiles a few lines of C for the card it meets.
# hadolint ignore=DL3008
RUN if [ "${COMPUTE}" != cpu ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends gcc libc6-dev \
        && rm -rf /var/lib/apt/lists/*; \
    fi
COPY --from=build /opt/napari-ies /opt/napari-ies
ARG REVISION=""
LABEL org.opencontainers.image.title="napari-ies" \
      org.opencontainers.image.description="Why a segmentation network marked a lesion: instance-level explanation saliency for whole cohorts" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.vendor="The napari-ies developers" \
      org.opencontainers.image.revision="${REVISION}"
# The root may be read-only and the user any number: what libraries keep for themselves goes to /tmp.
ENV PATH=/opt/napari-ies/bin:$PATH \
    HOME=/tmp \
    LOGNAME=napari-ies \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["napari-ies"]
CMD ["--help"]
