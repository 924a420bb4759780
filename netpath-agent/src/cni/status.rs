//! STATUS: tell whether containers can be attached.

use super::{
    Call, Error, Verb,
    config::{self, Settings},
};
use crate::pod::ReadyQuestion;

impl Call {
    pub(super) async fn status(&self) -> Result<(), Error> {
        let settings: Settings = config::read(&self.input)?;
        settings.check()?;
        settings.routes()?;
        let (network, parent) = (Some(self.network.name.clone()), settings.parent);
        let ready = self.agent.ready(&ReadyQuestion { network, parent }).await;
        ready.map_err(|error| Error::NotReady(Box::new(error)))?;
        if let Some(ipam) = &self.ipam {
            ipam.run(Verb::Status, &self.input)?;
        }
        Ok(())
    }
}
