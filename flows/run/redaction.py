"""Removal of the secrets that URLs may contain. Imports no Prefect."""

from fingerpost.schemas.urls import public_url, without_credentials

__all__ = ["public_url", "without_credentials"]
