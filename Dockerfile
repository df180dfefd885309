# An image to try switchbench: docker build -t switchbench . && docker run switchbench
# It has PyTorch for CPUs. For clusters and GPUs see deploy/Dockerfile.
FROM python:3.11-slim
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu
WORKDIR /opt/switchbench
COPY pyproject.toml README.md LICENSE ./
COPY bench bench
COPY methods methods
COPY datasets datasets
COPY reports reports
COPY configs configs
RUN pip install . && useradd --create-home switchbench
USER switchbench
WORKDIR /home/switchbench
CMD ["switchbench", "run", "quickstart"]
