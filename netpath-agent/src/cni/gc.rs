//! GC: remove what the runtime does not have any more.

use super::{
    Call, Error, Verb,
    config::{self, Valid, ValidAttachment, invalid, is_identifier, shorten},
};
use crate::pod::{Keep, PodId};

/// The key of what the runtime still has.
const KEY: &str = "cni.dev/valid-attachments";

impl Call {
    /// Without the list nothing is removed: to take a missing one for an empty one would be to
    /// remove everything.
    pub(super) async fn gc(&self) -> Result<(), Error> {
        let Valid { attachments } = config::read(&self.input)?;
        let network = &self.network.name;
        let keep = attachments.into_iter().map(|ValidAttachment { container, interface }| {
            if is_identifier(&container) {
                Ok(PodId { network: network.clone(), container, interface })
            } else {
                let problem = format!("{:?} is no container", shorten(&container));
                Err(invalid(KEY, problem))
            }
        });
        let keep = Keep { network: network.clone(), keep: keep.collect::<Result<_, _>>()? };
        self.agent.collect(&keep).await?;
        // Only now: nobody has the addresses any more.
        if let Some(ipam) = &self.ipam {
            ipam.run(Verb::Gc, &self.input)?;
        }
        Ok(())
    }
}
