//! Stands in for `wiring` until the parts below the command line are there.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::domain::{Epoch, Series, StoreError};
use crate::download::{DownloadError, DownloadRequest, Plan, Summary};

use super::error::Failure;
use super::progress::Progress;
use super::report::Traffic;
use super::report::verify::Checked;
use super::settings::simulate::{Dump, SimulateSettings};
use super::settings::{Api, DownloadSettings, EndpointChoice, VerifySettings};

fn pending() -> Failure {
    Failure::cannot_start("this part is not built in yet")
}

pub(super) fn endpoint(_: Api, _: Option<&str>) -> Result<EndpointChoice, String> {
    Err("is not built in yet".into())
}

pub(super) fn check_compression(_: &str) -> Result<(), String> {
    Ok(())
}

pub(super) fn fault_list() -> String {
    String::new()
}

pub(super) fn verify(_: &VerifySettings) -> Result<Checked, Failure> {
    Err(pending())
}

pub(super) struct Exchange;

impl Exchange {
    pub(super) fn demo(_: Epoch) -> Self {
        Self
    }

    pub(super) fn new(_: &SimulateSettings, _: Epoch) -> Result<Self, Failure> {
        Err(pending())
    }

    pub(super) fn url(&self, _: Api, _: u16) -> String {
        String::new()
    }

    pub(super) fn write_truth(&self, _: &Dump, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    pub(super) async fn serve(&self, _: TcpListener, _: CancellationToken) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn write_log(&self, _: &mut dyn Write, _: bool) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Parts {
    pub(super) endpoint: EndpointChoice,
    pub(super) session: String,
    pub(super) progress: Arc<Progress>,
    pub(super) stop: CancellationToken,
}

pub(super) struct Session;

impl Session {
    pub(super) fn open(_: &DownloadSettings, parts: Parts) -> Result<Self, Failure> {
        let _unused = (parts.endpoint, parts.session, parts.progress, parts.stop);
        Err(pending())
    }

    pub(super) async fn prepare(&self) -> Result<(), StoreError> {
        let path = PathBuf::new();
        Err(StoreError::Damaged { path, problem: Duration::ZERO.as_secs().to_string() })
    }

    pub(super) fn lock(&mut self, _: &Series) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) async fn plan(&self, _: &DownloadRequest) -> Result<Plan, DownloadError> {
        Err(DownloadError::NoSeries(Vec::new()))
    }

    pub(super) async fn run(&self, _: &DownloadRequest) -> Result<Summary, DownloadError> {
        Err(DownloadError::NoSeries(Vec::new()))
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    pub(super) async fn close(self) {}
}
