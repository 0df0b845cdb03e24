# One image for scheduler, workers and client: the same program, the same Python, the same packages.
FROM python:3.12-slim
WORKDIR /spinecast
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY src src
# Exactly what is locked, and nothing that was altered on the way.
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock \
 && pip install --no-cache-dir --no-deps --no-build-isolation .
RUN useradd --create-home spinecast && mkdir /shared && chown spinecast /shared
USER spinecast
