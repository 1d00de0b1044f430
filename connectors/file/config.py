"""What a user may set for the file reporter."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Encoding = Literal["auto", "utf-8", "gb18030", "utf-16"]
Format = Literal["auto", "csv", "jsonl"]

#: Kafka's own default limit is 1,048,588 bytes a batch; what is left is for the key and the framing.
DEFAULT_MAX_RECORD_BYTES = 1_000_000


class FileReport(BaseModel):
    """One file that one unit reports to one dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str = Field(description="数据集编码 dataset code, such as administrative_penalty")
    unit: str = Field(description="报送单位的统一社会信用代码 USCC of the reporting unit")
    path: Path = Field(description="CSV 或 JSON Lines 文件，可为 .gz; CSV or JSON lines, gzip or not")
    format: Format = Field(default="auto", description="文件格式；默认按扩展名和内容判断 by extension and content")
    encoding: Encoding = Field(default="auto", description="文件编码；默认自动识别 detected: UTF-8, else GB18030")
    errors: Path | None = Field(
        default=None, description="把被拒绝的行连同原因写入此 CSV where refused rows are written"
    )
    allow_missing: bool = Field(
        default=False, description="缺少必填列时仍然报送 send although a required column is missing"
    )
    dry_run: bool = Field(default=False, description="只检查，不发送 check only, send nothing")
    wait_seconds: float = Field(
        default=0, ge=0, description="发送后等待反馈的最长秒数 longest wait for feedback, in seconds"
    )
    max_record_bytes: int = Field(
        default=DEFAULT_MAX_RECORD_BYTES,
        gt=0,
        le=20_000_000,
        description="单条记录的最大字节数 largest record, in bytes",
    )
    delivery_timeout_seconds: float = Field(
        default=60, gt=0, description="等待 Kafka 确认的最长秒数 longest wait for Kafka's confirmation, in seconds"
    )
