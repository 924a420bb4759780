//! `netpath`: the operator's command.

mod arguments;
mod ipam;
mod output;
mod service;
mod tables;

use serde_json::json;

use self::{
    arguments::{Cli, Command, Conn, Endpoint, Flow, Route, Rule},
    output::{show, show_change},
};
use super::{FAILED, OK, UNREACHABLE, complain, completions, parse};
use crate::{
    api::{Client, client, types::ConnectionFilter},
    error::chain,
    pod::ReadyQuestion,
    route::RouteSpec,
};

/// Runs the program and returns its exit code.
#[must_use]
pub fn main() -> u8 {
    let cli = match parse::<Cli>() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if let Command::Completions { shell } = cli.command {
        completions::<Cli>(shell);
        return OK;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(execute(cli)),
        Err(error) => {
            complain(&format!("the runtime can not be started: {error}"));
            return FAILED;
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&chain(&error));
            if matches!(error, client::Error::Unreachable { .. }) { UNREACHABLE } else { FAILED }
        }
    }
}

/// Returns the exit code.
async fn execute(cli: Cli) -> Result<u8, client::Error> {
    let Cli { socket, output, command } = cli;
    let agent = Client::new(&socket);
    match command {
        Command::Status => show(output, &agent.status().await?, tables::status),
        Command::Ready => {
            agent.ready(&ReadyQuestion { network: None, parent: None }).await?;
            show_change(output, &json!({ "ready": true }), "ready");
        }
        Command::Endpoint(Endpoint::List) => {
            show(output, &agent.endpoints().await?, |list| tables::endpoints(list));
        }
        Command::Endpoint(Endpoint::Add(add)) => {
            let added = agent.add_endpoint(&add.into()).await?;
            let name = &added.item.spec.name;
            let text = if added.created { "added" } else { "is there already" };
            show_change(output, &added, &format!("endpoint {name} {text}"));
        }
        Command::Endpoint(Endpoint::Del { name }) => {
            let removed = agent.remove_endpoint(&name).await?;
            show_change(output, &removed, &format!("endpoint {name} removed"));
        }
        Command::Route(Route::List { table }) => {
            show(output, &agent.routes(table).await?, |list| tables::routes(list));
        }
        Command::Route(Route::Add { prefix, path, via, table }) => {
            let added = agent.add_route(&RouteSpec { table, prefix, path, via }).await?;
            let text = if added.created { "added" } else { "is there already" };
            show_change(output, &added, &format!("route {prefix} in table {table} {text}"));
        }
        Command::Route(Route::Del { prefix, table }) => {
            let removed = agent.remove_route(table, prefix).await?;
            show_change(output, &removed, &format!("route {prefix} in table {table} removed"));
        }
        Command::Rule(Rule::List) => {
            show(output, &agent.rules().await?, |list| tables::rules(list));
        }
        Command::Flow(Flow::List) => {
            show(output, &agent.flows().await?, |list| tables::flows(list));
        }
        Command::Service(command) => return service::run(&agent, output, command).await,
        Command::Conn(Conn::List { protocol, endpoint }) => {
            let filter = ConnectionFilter { protocol, endpoint };
            show(output, &agent.connections(&filter).await?, |list| tables::connections(list));
        }
        Command::Ipam(command) => return ipam::run(&agent, output, command).await,
        Command::Counters { endpoints: false } => {
            show(output, &agent.counters().await?, |list| tables::counters(list));
        }
        Command::Counters { endpoints: true } => {
            show(output, &agent.endpoint_counters().await?, |list| tables::endpoint_counters(list));
        }
        Command::Explain(question) => {
            show(output, &agent.explain(&question.into()).await?, tables::explanation);
        }
        // Answered before there was an agent to ask.
        Command::Completions { .. } => {}
    }
    Ok(OK)
}

/// The command line, for its own test.
#[cfg(test)]
pub(super) fn command() -> clap::Command {
    use clap::CommandFactory as _;
    Cli::command()
}
