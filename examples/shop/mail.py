"""Mail that may be sent twice and is still one mail: its Message-ID is made from the job's id."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal, TypeAlias

HOST = "127.0.0.1"
DOMAIN = "shop.example"
Kind: TypeAlias = Literal["welcome", "confirmation"]


def message_id(job_id: str) -> str:
    """Return the Message-ID of the mail that a job sends, the same for each of its runs."""
    return f"<job-{job_id}@{DOMAIN}>"


@dataclass(frozen=True, slots=True)
class PostOffice:
    """Sends by SMTP.

    Attributes:
        port: Port of the SMTP server on the loopback interface.
    """

    port: int

    def send(self, kind: Kind, number: int, recipient: str, text: str, *, job_id: str) -> None:
        """Send one mail about the sign-up or order of this number."""
        mail = EmailMessage()
        mail["From"] = f"shop@{DOMAIN}"
        mail["To"] = recipient
        mail["Subject"] = f"Welcome, number {number}" if kind == "welcome" else f"Your order {number}"
        mail["Message-ID"] = message_id(job_id)
        mail["X-Shop-Kind"] = kind
        mail["X-Shop-Number"] = str(number)
        mail.set_content(text)
        with smtplib.SMTP(HOST, self.port, local_hostname=DOMAIN, timeout=10) as connection:
            connection.send_message(mail)
