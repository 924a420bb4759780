//! STATUS: tell whether containers can be attached.

use super::{
    Call, Error, Verb,
    config::{self, Settings},
};

impl Call {
    pub(super) async fn status(&self) -> Result<(), Error> {
        let settings: Settings = config::read(&self.input)?;
        settings.check()?;
        settings.routes()?;
        let ready = self.agent.ready(&self.network.name).await;
        ready.map_err(|error| Error::NotReady(Box::new(error)))?;
        if let Some(ipam) = &self.ipam {
            ipam.run(Verb::Status, &self.input)?;
        }
        Ok(())
    }
}
